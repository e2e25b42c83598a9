/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next_function.h: the function that a program would have called without this
 * library: the first of that name in the files loaded behind it.
 *
 * Read from the dynamic linker's own list (struct r_debug), which every C
 * library keeps for debuggers: dlsym is in another library before glibc 2.34,
 * may allocate and locks, and dl_iterate_phdr locks, too. Thread: that which
 * starts the program, before there are others.
 */
#ifndef PRELOAD_NEXT_FUNCTION_H_
#define PRELOAD_NEXT_FUNCTION_H_

#include <stdbool.h>

/* Null: nobody has it. */
void* find_next_function(const char* name)
    __attribute__((visibility("hidden")));

/* Whether the program calls ours of that name: no file in front has one. */
bool is_first_function(const char* name) __attribute__((visibility("hidden")));

#endif /* PRELOAD_NEXT_FUNCTION_H_ */
