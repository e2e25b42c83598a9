# bpf_object(NAME SOURCE x.bpf.c HEADERS a.h b.h)
#
# Compiles one BPF source with clang-19, strips its DWARF, and makes an
# INTERFACE library NAME whose generated header NAME.skel.h opens it with libbpf.

find_program(BPF_CLANG NAMES clang-19 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

function(bpf_object name)
  cmake_parse_arguments(ARG "" "SOURCE" "HEADERS" ${ARGN})
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SOURCE})
  list(TRANSFORM ARG_HEADERS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(linked ${CMAKE_CURRENT_BINARY_DIR}/${name}.linked.bpf.o)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/${name}.skel.h)
  add_custom_command(
    OUTPUT ${object}
    COMMAND
      ${BPF_CLANG} -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -g -O2 -std=gnu11 -ffreestanding
      -Wall -Wextra -Wno-unused-parameter -Werror
      -I${PROJECT_SOURCE_DIR} -I${CMAKE_CURRENT_SOURCE_DIR}
      -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -c ${source} -o ${object}
    DEPENDS ${source} ${ARG_HEADERS}
    COMMENT "BPF ${ARG_SOURCE}"
    VERBATIM)
  add_custom_command(
    OUTPUT ${linked}
    COMMAND ${BPFTOOL} gen object ${linked} ${object}
    DEPENDS ${object}
    VERBATIM)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND sh -c "${BPFTOOL} gen skeleton ${linked} name ${name}_bpf > ${skeleton}"
    DEPENDS ${linked}
    VERBATIM)
  add_custom_target(${name}_skeleton DEPENDS ${skeleton})
  add_library(${name} INTERFACE)
  add_dependencies(${name} ${name}_skeleton)
  target_include_directories(${name} INTERFACE ${CMAKE_CURRENT_BINARY_DIR})
  target_link_libraries(${name} INTERFACE PkgConfig::LIBBPF)
endfunction()
