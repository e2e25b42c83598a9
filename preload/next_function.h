/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next_function.h: the function that a program would have called without this
 * library: the first of that name in the files loaded behind it.
 *
 * Not dlsym, which is in another library before glibc 2.34, and which may
 * allocate; all that is needed here, every C library has.
 * Thread: any. Takes the dynamic linker's lock: once per function.
 */
#ifndef PRELOAD_NEXT_FUNCTION_H_
#define PRELOAD_NEXT_FUNCTION_H_

struct next_function {
  void* address; /* null: nobody has it */
  /* Tells files apart; null if there is none. */
  const void* file;
};

struct next_function find_next_function(const char* name)
    __attribute__((visibility("hidden")));

#endif /* PRELOAD_NEXT_FUNCTION_H_ */
