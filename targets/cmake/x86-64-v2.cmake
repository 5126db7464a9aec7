# ggml enables AVX2 and related extensions for every x86 build that is not native, whatever CPU is requested.
set(GGML_SSE42 ON CACHE BOOL "" FORCE)
set(GGML_AVX OFF CACHE BOOL "" FORCE)
set(GGML_AVX2 OFF CACHE BOOL "" FORCE)
set(GGML_BMI2 OFF CACHE BOOL "" FORCE)
set(GGML_FMA OFF CACHE BOOL "" FORCE)
set(GGML_F16C OFF CACHE BOOL "" FORCE)
set(GGML_AVX512 OFF CACHE BOOL "" FORCE)
include("${CMAKE_CURRENT_LIST_DIR}/size.cmake")
