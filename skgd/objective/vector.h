/* What the compiled loops share: prefetching, and versions for wider vectors. */

#ifndef SKGD_VECTOR_H
#define SKGD_VECTOR_H

#include <string.h>

/* With SKGD_PORTABLE, compiled as by a compiler that knows none of what follows. */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(SKGD_PORTABLE)
#define SKGD_GNU
#endif

#ifdef SKGD_GNU
/* Into the second-level cache, and as near as can be. gcc takes a function that does
   nothing but prefetch for one without effect, and drops the calls; the empty asm
   statement keeps it from doing so. */
#define SKGD_PREFETCH_LEVEL(address, level) \
    do { __builtin_prefetch(address, 0, level); __asm__ __volatile__(""); } while (0)
#define SKGD_PREFETCH(address) SKGD_PREFETCH_LEVEL(address, 2)
#define SKGD_PREFETCH_NEAR(address) SKGD_PREFETCH_LEVEL(address, 3)
#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
#include <xmmintrin.h>
#define SKGD_PREFETCH(address) _mm_prefetch((const char *)(address), _MM_HINT_T1)
#define SKGD_PREFETCH_NEAR(address) _mm_prefetch((const char *)(address), _MM_HINT_T0)
#else
#define SKGD_PREFETCH(address) ((void)(address))
#define SKGD_PREFETCH_NEAR(address) ((void)(address))
#endif

/* Wheels are compiled for the oldest CPU of a kind. Where the toolchain can, loops over
   features and outputs are compiled for AVX2 and AVX-512 as well, and the right version is
   chosen when the module is loaded. */
#if defined(SKGD_GNU) && !defined(__clang__) && __GNUC__ >= 11 \
        && defined(__x86_64__) && defined(__GLIBC__)
#define SKGD_VECTOR \
    static __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SKGD_VECTOR static
#endif

#endif
