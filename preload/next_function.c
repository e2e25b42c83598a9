/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "preload/next_function.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma weak dl_iterate_phdr

/* Section numbers in a file of another endianness or a broken one would lead
 * anywhere; what is loaded the dynamic linker has read before. */
struct symbol_tables {
  const ElfW(Sym) * symbols;
  const char* names;
  const uint32_t* gnu_hash;
  const uint32_t* hash;
};

struct search {
  const char* name;
  bool is_behind_us;
  struct next_function found;
};

static bool is_same(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static bool has_address(const struct dl_phdr_info* file, uintptr_t address) {
  for (int i = 0; i < file->dlpi_phnum; i++) {
    const ElfW(Phdr)* segment = &file->dlpi_phdr[i];
    if (segment->p_type == PT_LOAD &&
        address - file->dlpi_addr - segment->p_vaddr < segment->p_memsz) {
      return true;
    }
  }
  return false;
}

static struct symbol_tables read_tables(const struct dl_phdr_info* file) {
  struct symbol_tables tables = {NULL, NULL, NULL, NULL};
  const ElfW(Dyn)* entry = NULL;
  for (int i = 0; i < file->dlpi_phnum; i++) {
    if (file->dlpi_phdr[i].p_type == PT_DYNAMIC) {
      entry = (const void*)(file->dlpi_addr + file->dlpi_phdr[i].p_vaddr);
    }
  }
  for (; entry && entry->d_tag != DT_NULL; entry++) {
    /* glibc has turned these into addresses, musl leaves them as they are. */
    uintptr_t address = entry->d_un.d_ptr;
    if (address < file->dlpi_addr) address += file->dlpi_addr;
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

static int visit(struct dl_phdr_info* file, size_t size, void* data) {
  (void)size;
  struct search* search = data;
  if (!search->is_behind_us) {
    search->is_behind_us = has_address(file, (uintptr_t)&find_next_function);
    return 0;
  }
  struct symbol_tables tables = read_tables(file);
  if (!tables.symbols || !tables.names) return 0;
  uint32_t index = tables.gnu_hash ? look_up_gnu(&tables, search->name)
                   : tables.hash   ? look_up_sysv(&tables, search->name)
                                   : 0;
  if (!index) return 0;
  search->found.address =
      (void*)(file->dlpi_addr + tables.symbols[index].st_value);
  search->found.file = tables.symbols;
  return 1;
}

struct next_function find_next_function(const char* name) {
  struct search search = {.name = name};
  if (dl_iterate_phdr) dl_iterate_phdr(visit, &search);
  return search.found;
}
