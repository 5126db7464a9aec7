# Included by every profile's settings: llama.cpp small, ggml fast.
#
# CMake reads the settings before each project(), llama.cpp's first and then that of ggml, the folder inside it whose
# flags begin as its parent's. llama.cpp's own part builds graphs, loads files and samples: a thousandth of a token's
# time, and a third of the program.
get_filename_component(folder "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
if(folder STREQUAL "ggml")
    set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
    set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
else()
    set(CMAKE_C_FLAGS_RELEASE "-Os -DNDEBUG")
    set(CMAKE_CXX_FLAGS_RELEASE "-Os -DNDEBUG")
endif()
