/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "preload/next_function.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>

#pragma weak _r_debug /* of glibc */
#pragma weak getauxval

extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

struct symbol_tables {
  const ElfW(Sym) * symbols;
  const char* names;
  const uint32_t* gnu_hash;
  const uint32_t* hash;
};

static bool is_same(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

/* What the program's own dynamic segment points to. */
static const struct r_debug* find_debug_of_program(void) {
  if (!getauxval) return NULL;
  const ElfW(Phdr)* segments = (const void*)getauxval(AT_PHDR);
  uint64_t count = getauxval(AT_PHNUM);
  uintptr_t base = 0;
  const ElfW(Dyn)* entry = NULL;
  for (uint64_t i = 0; segments && i < count; i++) {
    if (segments[i].p_type == PT_PHDR) {
      base = (uintptr_t)segments - segments[i].p_vaddr;
    }
    if (segments[i].p_type == PT_DYNAMIC) {
      entry = (const void*)(base + segments[i].p_vaddr);
    }
  }
  for (; entry && entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == DT_DEBUG) return (const void*)entry->d_un.d_ptr;
  }
  return NULL;
}

static const struct link_map* first_file(void) {
  const struct r_debug* debug = &_r_debug;
  if (!debug) debug = find_debug_of_program();
  return debug ? debug->r_map : NULL;
}

static struct symbol_tables read_tables(const struct link_map* file) {
  struct symbol_tables tables = {NULL, NULL, NULL, NULL};
  const ElfW(Dyn)* entry = file->l_ld;
  for (; entry && entry->d_tag != DT_NULL; entry++) {
    /* glibc has turned these into addresses, musl leaves them as they are. */
    uintptr_t address = entry->d_un.d_ptr;
    if (address < file->l_addr) address += file->l_addr;
    if (entry->d_tag == DT_SYMTAB) tables.symbols = (const void*)address;
    if (entry->d_tag == DT_STRTAB) tables.names = (const void*)address;
    if (entry->d_tag == DT_GNU_HASH) tables.gnu_hash = (const void*)address;
    if (entry->d_tag == DT_HASH) tables.hash = (const void*)address;
  }
  return tables;
}

static bool matches(const struct symbol_tables* tables, uint32_t index,
                    const char* name) {
  const ElfW(Sym)* symbol = &tables->symbols[index];
  return symbol->st_shndx != SHN_UNDEF &&
         ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
         ELF64_ST_BIND(symbol->st_info) != STB_LOCAL &&
         is_same(tables->names + symbol->st_name, name);
}

/* 0 = not there. */
static uint32_t look_up_gnu(const struct symbol_tables* tables,
                            const char* name) {
  uint32_t hash = 5381;
  for (const char* at = name; *at; at++) hash = hash * 33 + (unsigned char)*at;
  uint32_t bucket_count = tables->gnu_hash[0];
  uint32_t first = tables->gnu_hash[1];
  uint32_t bloom_words = tables->gnu_hash[2];
  if (!bucket_count) return 0;
  const uint32_t* buckets = tables->gnu_hash + 4 + 2 * bloom_words;
  const uint32_t* chain = buckets + bucket_count;
  uint32_t index = buckets[hash % bucket_count];
  if (index < first) return 0;
  for (;; index++) {
    uint32_t other = chain[index - first];
    if ((other | 1) == (hash | 1) && matches(tables, index, name)) return index;
    if (other & 1) return 0;
  }
}

static uint32_t look_up_sysv(const struct symbol_tables* tables,
                             const char* name) {
  uint32_t hash = 0;
  for (const char* at = name; *at; at++) {
    hash = (hash << 4) + (unsigned char)*at;
    hash = (hash ^ (hash >> 24 & 0xf0)) & 0xfffffff;
  }
  uint32_t bucket_count = tables->hash[0];
  if (!bucket_count) return 0;
  const uint32_t* buckets = tables->hash + 2;
  const uint32_t* chain = buckets + bucket_count;
  for (uint32_t index = buckets[hash % bucket_count]; index;
       index = chain[index]) {
    if (matches(tables, index, name)) return index;
  }
  return 0;
}

static void* look_up(const struct link_map* file, const char* name) {
  struct symbol_tables tables = read_tables(file);
  if (!tables.symbols || !tables.names) return NULL;
  uint32_t index = tables.gnu_hash ? look_up_gnu(&tables, name)
                   : tables.hash   ? look_up_sysv(&tables, name)
                                   : 0;
  if (!index) return NULL;
  return (void*)(file->l_addr + tables.symbols[index].st_value);
}

static bool is_us(const struct link_map* file) {
  return file->l_ld == _DYNAMIC;
}

void* find_next_function(const char* name) {
  bool is_behind = false;
  for (const struct link_map* file = first_file(); file; file = file->l_next) {
    void* found = is_behind ? look_up(file, name) : NULL;
    if (found) return found;
    is_behind = is_behind || is_us(file);
  }
  return NULL;
}

bool is_first_function(const char* name) {
  const struct link_map* file = first_file();
  while (file && !is_us(file) && !look_up(file, name)) file = file->l_next;
  return file && is_us(file);
}
