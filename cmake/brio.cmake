# How Brio's targets are made. One call a library, whose DEPENDS is the architecture:
#
#   brio_library(http SOURCES … HEADERS … DEPENDS brio::core [LIBRARIES OpenSSL::Crypto] [PKGCONFIG libcrypto])
#     target brio_http = brio::http, archive libbrio_http.a, <brio/http.h> = http/http.h; PKGCONFIG names
#     what a user of the installed archive must link besides
#   brio_app(notes SOURCES … DEPENDS brio::http …)
#     build/<preset>/apps/notes/notes
#   brio_test(core/test_arena SOURCES … DEPENDS brio::core [LABELS unit] [TIMEOUT 120] [INCLUDES …] [ENVIRONMENT …])
#     one cmocka program, known to ctest by that name; exit status 77 means skipped
#   brio_test_statements(integration/pg/test_tx unnamed off single)
#     the same again as …_unnamed, …_off and …_single, which stand for poolers' needs
#   brio_fuzz(json_read SOURCES … DEPENDS …)
#     a LLVMFuzzerTestOneInput: run by ./dev fuzz, and replayed over tests/fuzz/corpus/json_read by ctest

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

option(BRIO_WERROR "Warnings are errors" OFF)
option(BRIO_SANITIZE "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(BRIO_COVERAGE "Coverage instrumentation" OFF)
option(BRIO_FUZZ "libFuzzer targets (clang only)" OFF)
option(BRIO_TESTS "Build the tests" ON)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# Never NDEBUG: an invariant holds in production too.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# ---- flags ----

add_library(brio_flags INTERFACE)
target_compile_definitions(brio_flags INTERFACE _GNU_SOURCE)
target_compile_options(brio_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
  -Wmissing-prototypes -Wundef -Wvla -Wformat=2 -Wno-format-nonliteral -Wwrite-strings -Wcast-qual
  -Wpointer-arith -Wswitch-enum -Wnull-dereference -Wdouble-promotion -Wimplicit-fallthrough
  -Wframe-larger-than=2048 -Wno-missing-field-initializers
  -Werror=incompatible-pointer-types -Werror=int-conversion -Werror=implicit-function-declaration
  -Werror=return-type>
  -fno-omit-frame-pointer)
if(BRIO_WERROR)
  target_compile_options(brio_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()

if(BRIO_SANITIZE)
  # Instrumented frames are larger than what style.md allows for the real ones, and hide what is never null.
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
  if(BRIO_FUZZ)
    list(APPEND sanitizers -fsanitize=fuzzer-no-link)
  endif()
  target_compile_options(brio_flags INTERFACE ${sanitizers}
    $<$<COMPILE_LANGUAGE:C>:-Wno-frame-larger-than -Wno-null-dereference>)
  target_link_options(brio_flags INTERFACE ${sanitizers})
elseif(BRIO_COVERAGE)
  # Workers are processes that count in one file.
  target_compile_options(brio_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(brio_flags INTERFACE --coverage)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(brio_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
  target_link_options(brio_flags INTERFACE -Wl,-z,relro,-z,now -pie)
  # Fat objects, so that an installed archive links without LTO and with clang too. clang's own LTO needs
  # lld, which Debian's clang does not bring.
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(brio_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-flto=auto -ffat-lto-objects>)
    target_link_options(brio_flags INTERFACE -flto=auto)
    # gcc 12 clears a struct by `rep stos`, which takes some 30 cycles to begin, several times a request.
    if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
      set(clearing -mmemset-strategy=vector_loop:256:noalign,libcall:-1:noalign)
      target_compile_options(brio_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:${clearing}>)
      target_link_options(brio_flags INTERFACE ${clearing})
    endif()
  endif()
endif()

# Every page of a large frame is touched in order, so that a handler's overflow meets its fiber's guard page
# and cannot step over it into another fiber's stack. Whoever links Brio inherits it: it is their handlers'
# frames that are large.
set(BRIO_STACK_FLAGS)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(BRIO_STACK_FLAGS -fstack-clash-protection)
elseif(CMAKE_C_COMPILER_ID STREQUAL "GNU") # whose guard is 64 KiB on ARM64 unless told
  set(BRIO_STACK_FLAGS -fstack-clash-protection --param=stack-clash-protection-guard-size=12)
endif()

# Tests may have large frames and unchecked corner values; what they test may not.
add_library(brio_test_flags INTERFACE)
target_compile_options(brio_test_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wno-frame-larger-than -Wno-cast-qual -Wno-null-dereference>)

# ---- libraries ----

# <brio/http.h> in the build tree, as it will be when installed.
set(BRIO_INCLUDE ${CMAKE_BINARY_DIR}/include)

# The include root of an installation is <prefix>/include/brio: "core/str.h" and <brio/http.h> both work.
function(brio_library name)
  cmake_parse_arguments(A "" "" "SOURCES;HEADERS;DEPENDS;LIBRARIES;PKGCONFIG" ${ARGN})
  set(target brio_${name})
  add_library(${target} STATIC ${A_SOURCES})
  add_library(brio::${name} ALIAS ${target})
  set_property(GLOBAL APPEND PROPERTY BRIO_LIBRARIES ${name})
  set_target_properties(${target} PROPERTIES C_VISIBILITY_PRESET hidden EXPORT_NAME ${name}
    BRIO_HEADERS "${A_HEADERS}")
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${BRIO_INCLUDE}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/brio> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_include_directories(${target} PRIVATE src)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:brio_flags> PUBLIC ${A_DEPENDS} ${A_LIBRARIES})
  target_compile_options(${target} PUBLIC "$<$<COMPILE_LANGUAGE:C,CXX>:${BRIO_STACK_FLAGS}>")

  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.h)
    file(CONFIGURE OUTPUT ${BRIO_INCLUDE}/brio/${name}.h
      CONTENT "#include \"${name}/${name}.h\" // IWYU pragma: export\n")
    install(FILES ${BRIO_INCLUDE}/brio/${name}.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/brio)
  endif()
  install(FILES ${A_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/brio/${name})
  install(TARGETS ${target} EXPORT brio ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  brio_pkgconfig(${name} "${A_DEPENDS}" "${A_PKGCONFIG}")
endfunction()

function(brio_pkgconfig name depends others)
  list(TRANSFORM depends REPLACE "brio::" "brio-")
  list(JOIN depends " " depends)
  list(JOIN others " " others)
  list(JOIN BRIO_STACK_FLAGS " " stack_flags)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/pkgconfig/brio-${name}.pc @ONLY CONTENT
"prefix=@CMAKE_INSTALL_PREFIX@
libdir=\${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=\${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: brio-@name@
Description: Brio's @name@ library
Version: @PROJECT_VERSION@
Requires: @depends@ @others@
Cflags: -I\${includedir} -I\${includedir}/brio @stack_flags@
Libs: -L\${libdir} -lbrio_@name@ -pthread -lm
")
  install(FILES ${CMAKE_BINARY_DIR}/pkgconfig/brio-${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# Called once, after the last library: find_package(brio) for those who installed it.
function(brio_install_package)
  set(where ${CMAKE_INSTALL_LIBDIR}/cmake/brio)
  install(EXPORT brio NAMESPACE brio:: DESTINATION ${where} FILE brio-targets.cmake)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/brio-config.cmake.in
    ${CMAKE_BINARY_DIR}/brio-config.cmake INSTALL_DESTINATION ${where})
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/brio-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/brio-config.cmake ${CMAKE_BINARY_DIR}/brio-config-version.cmake
    DESTINATION ${where})
endfunction()

# ---- programs ----

function(brio_app name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(app_${name} ${A_SOURCES})
  set_target_properties(app_${name} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/apps/${name} ENABLE_EXPORTS OFF)
  target_link_libraries(app_${name} PRIVATE brio_flags ${A_DEPENDS})
endfunction()

set(BRIO_TEST_ENVIRONMENT
  "ASAN_OPTIONS=detect_stack_use_after_return=1:detect_leaks=1" "UBSAN_OPTIONS=print_stacktrace=1")

function(brio_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;DEPENDS;LABELS;INCLUDES;ENVIRONMENT" ${ARGN})
  string(REPLACE "/" "_" target ${name})
  add_executable(${target} ${A_SOURCES})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${A_INCLUDES})
  target_link_libraries(${target} PRIVATE brio_flags brio_test_flags ${A_DEPENDS} cmocka)
  add_test(NAME ${name} COMMAND ${target} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}" SKIP_RETURN_CODE 77
    ENVIRONMENT "${BRIO_TEST_ENVIRONMENT};${A_ENVIRONMENT}")
endfunction()

# The same program once more for each of these: the other modes of prepared statements (PG_STATEMENTS), and
# `single`, with one request at a time (PG_PIPELINE_MAX); one after the other, because they use the same tables.
function(brio_test_statements name)
  string(REPLACE "/" "_" target ${name})
  get_test_property(${name} TIMEOUT timeout)
  get_test_property(${name} LABELS labels)
  get_test_property(${name} ENVIRONMENT environment)
  foreach(mode ${ARGN})
    set(setting PG_STATEMENTS=${mode})
    if(mode STREQUAL single) # request under way at a time
      set(setting PG_STATEMENTS=unnamed PG_PIPELINE_MAX=1)
    endif()
    add_test(NAME ${name}_${mode} COMMAND ${target} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name}_${mode} PROPERTIES TIMEOUT ${timeout} LABELS "${labels}" SKIP_RETURN_CODE 77
      ENVIRONMENT "${environment};${setting}" RESOURCE_LOCK ${name})
  endforeach()
  set_tests_properties(${name} PROPERTIES RESOURCE_LOCK ${name})
endfunction()

# Without libFuzzer the same target is linked with a main that replays files.
function(brio_fuzz name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPENDS;INCLUDES" ${ARGN})
  set(target fuzz_${name})
  add_executable(${target} ${A_SOURCES})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${A_INCLUDES})
  target_link_libraries(${target} PRIVATE brio_flags brio_test_flags ${A_DEPENDS})
  if(BRIO_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    return()
  endif()
  target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/fuzz_replay.c)
  add_test(NAME fuzz/${name} COMMAND ${target} tests/fuzz/corpus/${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT 120 LABELS fuzz ENVIRONMENT "${BRIO_TEST_ENVIRONMENT}")
endfunction()
