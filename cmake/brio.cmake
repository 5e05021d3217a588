# How Brio's targets are made: one call a library, an app, a test. DEPENDS is the architecture.
#
#   brio_library(http SOURCES … HEADERS … DEPENDS brio::core LIBRARIES …)
#   brio_app(notes SOURCES … DEPENDS brio::http …)
#   brio_test(core/test_arena DEPENDS brio::core …)

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
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

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
  # Instrumented frames are larger than what style.md allows for the real ones.
  target_compile_options(brio_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
    $<$<COMPILE_LANGUAGE:C>:-Wno-frame-larger-than -Wno-null-dereference>)
  target_link_options(brio_flags INTERFACE -fsanitize=address,undefined)
elseif(BRIO_COVERAGE)
  target_compile_options(brio_flags INTERFACE --coverage)
  target_link_options(brio_flags INTERFACE --coverage)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
target_compile_options(brio_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
  target_link_options(brio_flags INTERFACE -Wl,-z,relro,-z,now -pie)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(brio_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-flto=auto -ffat-lto-objects>)
    target_link_options(brio_flags INTERFACE -flto=auto)
  endif()
endif()

add_library(brio_test_flags INTERFACE)
target_compile_options(brio_test_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Wno-frame-larger-than
  -Wno-cast-qual -Wno-null-dereference>)

# <brio/http.h> in the build tree, as it will be when installed.
set(BRIO_INCLUDE ${CMAKE_BINARY_DIR}/include)

# The include root of an installation is <prefix>/include/brio: "core/str.h" and <brio/http.h> both work.
function(brio_library name)
  cmake_parse_arguments(A "" "" "SOURCES;HEADERS;DEPENDS;LIBRARIES;PKGCONFIG" ${ARGN})
  set(target brio_${name})
  add_library(${target} STATIC ${A_SOURCES})
  add_library(brio::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES C_VISIBILITY_PRESET hidden EXPORT_NAME ${name})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${BRIO_INCLUDE}>
    $<INSTALL_INTERFACE:include/brio> $<INSTALL_INTERFACE:include>)
  target_include_directories(${target} PRIVATE src)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:brio_flags> PUBLIC ${A_DEPENDS} ${A_LIBRARIES})
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name}.h)
    file(WRITE ${BRIO_INCLUDE}/brio/${name}.h "#include \"${name}/${name}.h\" /* IWYU pragma: export */\n")
    install(FILES ${BRIO_INCLUDE}/brio/${name}.h DESTINATION include/brio)
  endif()
  install(FILES ${A_HEADERS} DESTINATION include/brio/${name})
  install(TARGETS ${target} EXPORT brio ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  string(REPLACE "brio::" "brio-" requires "${A_DEPENDS}")
  string(REPLACE ";" " " requires "${requires}")
  string(REPLACE ";" " " private "${A_PKGCONFIG}")
  file(WRITE ${CMAKE_BINARY_DIR}/pkgconfig/brio-${name}.pc
"prefix=${CMAKE_INSTALL_PREFIX}
libdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}
Name: brio-${name}
Description: Brio's ${name} library
Version: ${PROJECT_VERSION}
Requires: ${requires} ${private}
Cflags: -I\${prefix}/include -I\${prefix}/include/brio
Libs: -L\${libdir} -lbrio_${name} -pthread -lm
")
  install(FILES ${CMAKE_BINARY_DIR}/pkgconfig/brio-${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

function(brio_app name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(app_${name} ${A_SOURCES})
  set_target_properties(app_${name} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/apps/${name} ENABLE_EXPORTS OFF)
  target_link_libraries(app_${name} PRIVATE brio_flags ${A_DEPENDS})
endfunction()

# A cmocka program `name` (folder/test_noun) from tests/unit/<name>.c, or from SOURCES.
function(brio_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;DEPENDS;LABELS;INCLUDES;ENVIRONMENT" ${ARGN})
  string(REPLACE "/" "_" target ${name})
  add_executable(${target} ${A_SOURCES})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${A_INCLUDES})
  # Tests may have large frames and unchecked corner values; what they test may not.
  target_link_libraries(${target} PRIVATE brio_flags brio_test_flags ${A_DEPENDS} cmocka)
  add_test(NAME ${name} COMMAND ${target} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}" SKIP_RETURN_CODE 77
    ENVIRONMENT "ASAN_OPTIONS=detect_stack_use_after_return=1:detect_leaks=1;${A_ENVIRONMENT}")
endfunction()
