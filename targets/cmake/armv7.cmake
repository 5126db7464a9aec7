# ARMv7-A with NEON and VFPv4: every Pi that runs the 32-bit system from Pi 2 (1.2) on.
set(GGML_CPU_ARM_ARCH "armv7-a+neon-vfpv4" CACHE STRING "ARMv7-A" FORCE)
include("${CMAKE_CURRENT_LIST_DIR}/size.cmake")
