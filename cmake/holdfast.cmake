# Build rules that every room shares.

set(HOLDFAST_VIEWS ${CMAKE_BINARY_DIR}/rooms CACHE PATH "Where the rooms' include directories are made")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)

function(holdfast_target_options target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wno-gnu-statement-expression -Wshadow -Wconversion -Wno-sign-conversion
    -Wnon-virtual-dtor -Wunused-result -Werror=unused-result -Werror=return-type -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # -Wpedantic would refuse the statement expression that TRY() is.
    target_compile_options(${target} PRIVATE -Wno-pedantic)
  endif()
  if(HOLDFAST_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${HOLDFAST_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${HOLDFAST_SANITIZE})
  endif()
  # Fat objects: the binary is linked with LTO, the test programs without (it would
  # take most of the build's time and show nothing).
  if(HOLDFAST_LTO)
    target_compile_options(${target} PRIVATE -flto=auto -ffat-lto-objects)
  endif()
  if(HOLDFAST_LTO AND target STREQUAL "holdfast")
    target_link_options(${target} PRIVATE -flto=auto -O2)
  else()
    target_link_options(${target} PRIVATE -fno-lto $<$<BOOL:${MOLD}>:-fuse-ld=mold>)
  endif()
endfunction()

# holdfast_room(PATH ROOMS lower... LIBS public... PRIVATE_LIBS private...)
#
# Makes the library room_PATH from src/PATH/*.cc, its unit tests (*_test.cc) as
# the program PATH_test, and an include directory that holds this room alone.
# A room therefore can't include a header of a room that it doesn't name.
function(holdfast_room path)
  cmake_parse_arguments(ARG "" "" "ROOMS;LIBS;PRIVATE_LIBS" ${ARGN})
  string(REPLACE "/" "_" name ${path})
  set(view ${HOLDFAST_VIEWS}/${name})
  get_filename_component(parent ${view}/${path} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  if(path STREQUAL "source")
    # The interface room is the parent folder of its implementations: expose its headers only.
    file(MAKE_DIRECTORY ${view}/source)
    file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/source/*.h)
    foreach(header ${headers})
      get_filename_component(leaf ${header} NAME)
      file(CREATE_LINK ${header} ${view}/source/${leaf} SYMBOLIC)
    endforeach()
  else()
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/src/${path} ${view}/${path} SYMBOLIC)
  endif()

  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${path}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")

  if(sources)
    add_library(room_${name} STATIC ${sources})
    set(scope PUBLIC)
    holdfast_target_options(room_${name})
    target_link_libraries(room_${name} PRIVATE ${ARG_PRIVATE_LIBS})
  else()
    add_library(room_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(room_${name} ${scope} ${view})
  foreach(room ${ARG_ROOMS})
    string(REPLACE "/" "_" lower ${room})
    target_link_libraries(room_${name} ${scope} room_${lower})
  endforeach()
  target_link_libraries(room_${name} ${scope} ${ARG_LIBS})

  if(HOLDFAST_TESTS AND tests)
    add_executable(${name}_test ${tests})
    holdfast_target_options(${name}_test)
    target_link_libraries(${name}_test PRIVATE room_${name} ${ARG_PRIVATE_LIBS} GTest::gmock GTest::gtest_main)
    add_test(NAME unit.${name} COMMAND ${name}_test)
  endif()
endfunction()
