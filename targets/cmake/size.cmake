# Included by every profile's settings: ggml's kernels fast, everything else of llama.cpp small.
#
# The rest builds graphs, loads files and samples: a thousandth of a token's time, and a third of the program. Nothing of
# it is seen from outside, so that calls need no detour.
add_compile_options("$<IF:$<STREQUAL:$<TARGET_PROPERTY:NAME>,ggml-cpu>,-O3,-Os>" -fvisibility=hidden)
