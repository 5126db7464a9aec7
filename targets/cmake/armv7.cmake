# ARMv7-A with NEON and VFPv4: every Pi since Pi 2 (1.2) that runs the 32-bit system.
set(GGML_CPU_ARM_ARCH "armv7-a+neon-vfpv4" CACHE STRING "ARMv7-A" FORCE)
include("${CMAKE_CURRENT_LIST_DIR}/size.cmake")
