# Read through CMAKE_PROJECT_INCLUDE_BEFORE. llama-cpp-sys-2 would force armv8-a on every build that is not
# native.
set(GGML_CPU_ARM_ARCH "armv8.2-a+dotprod+fp16" CACHE STRING "Cortex-A76 and A55" FORCE)
include("${CMAKE_CURRENT_LIST_DIR}/size.cmake")
