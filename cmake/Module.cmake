# sluice_module(NAME SOURCES … [LINKS …] [ASIO]) declares one room of the house: an object library
# that becomes part of libsluice. ASIO gives it Asio's definitions and the shared precompiled header.
#
# sluice_test(NAME SOURCES … [LINKS …]) declares a GoogleTest program and registers it with CTest.

function(sluice_module name)
  cmake_parse_arguments(arg "ASIO" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} OBJECT ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC fmt::fmt ${arg_LINKS})
  if(arg_ASIO)
    target_link_libraries(${name} PUBLIC sluice_asio)
    if(name STREQUAL "io")
      target_precompile_headers(${name} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)
    else()
      target_precompile_headers(${name} REUSE_FROM io)
    endif()
  endif()
  set_property(GLOBAL APPEND PROPERTY SLUICE_MODULES ${name})
endfunction()

function(sluice_test name)
  if(NOT SLUICE_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${arg_SOURCES})
  if(TARGET io)  # the rooms below it do without Asio
    target_precompile_headers(${name} REUSE_FROM io)
  endif()
  target_link_libraries(${name} PRIVATE sluice ${arg_LINKS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()
