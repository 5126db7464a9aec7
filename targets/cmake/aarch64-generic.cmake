# Read through CMAKE_PROJECT_INCLUDE_BEFORE. llama-cpp-sys-2 would force armv8-a on every build that is not
# native.
set(GGML_CPU_ARM_ARCH "armv8-a" CACHE STRING "any ARMv8-A" FORCE)
include("${CMAKE_CURRENT_LIST_DIR}/size.cmake")
