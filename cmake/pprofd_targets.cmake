# Targets of pprofd: one static library per folder, one test binary beside it.
#
#   pprofd_library(NAME SOURCES a.cc b.cc LIBRARIES pprofd_base …)
#   pprofd_test(NAME SOURCES a_test.cc LIBRARIES pprofd_x …)
#
# Both compile with the project's warnings, as errors with PPROFD_WERROR.

option(PPROFD_WERROR "Treat warnings as errors" OFF)

function(pprofd_compile_options target)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow)
  if(PPROFD_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

function(pprofd_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_LIBRARIES})
  pprofd_compile_options(${name})
endfunction()

function(pprofd_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} GTest::gmock
                                        GTest::gtest GTest::gtest_main)
  pprofd_compile_options(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                           ${CMAKE_BINARY_DIR}/tests/unit)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120)
endfunction()
