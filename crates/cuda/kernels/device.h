// The language of the kernels: CUDA C++ where NVRTC compiles them for a card, and the same sources as plain
// C++ where the emulator does (emulated.h). No header of CUDA or of the standard library is needed for the
// first, so that NVRTC finds everything in this folder.
#pragma once

#ifdef FCMAE_EMULATED
#include "emulated.h"
#else

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;

// What is at an address of the card's memory. The emulator's knows its length and checks every access.
template <class T>
struct Span {
    T* start;

    __device__ T& operator[](u64 index) const { return start[index]; }
    // The place of `count` values that begin at a multiple of 16 bytes.
    __device__ T* pack(u64 index, int count) const { return start + index; }
    __device__ bool is_empty() const { return start == nullptr; }
};

// Kernels are templates; the host asks for each by its C++ name. Only the emulator keeps a list.
#define KERNEL(...)

#endif

// The values of this many lanes pass between each other without shared memory.
constexpr int WARP = 32;
constexpr u32 ALL_LANES = 0xffffffffu;

// The upper half of a float32. Arithmetic on it happens in float32.
struct bf16 {
    u16 bits;
};

inline __device__ float widened(float value) { return value; }
inline __device__ float widened(bf16 value) { return __uint_as_float(u32(value.bits) << 16); }

template <class T>
__device__ T rounded(float value);

template <>
inline __device__ float rounded<float>(float value) { return value; }

// To nearest, ties to even. What is no number stays so.
template <>
inline __device__ bf16 rounded<bf16>(float value) {
    const u32 bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bf16{u16(bits >> 16 | 0x40u)};
    return bf16{u16((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

// Sixteen bytes, which one instruction loads: four float32 values or eight of bfloat16. Kernels that load packs want
// rows of a multiple of their length, unless they say otherwise.
template <class T>
struct alignas(16) Pack {
    static constexpr int N = 16 / int(sizeof(T));
    T values[N];
};

// Where the pack begins that a thread has, one pack of N values for each thread of the grid: in which row of `width`
// values, at which of them.
struct RowPlace {
    u64 row, c;
};

template <int N>
__device__ RowPlace row_place(int width) {
    const u64 packs = u64(width / N), index = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    return {index / packs, index % packs * N};
}

// The pack of `values` at `index`, a multiple of its length.
template <class T>
__device__ Pack<T> loaded(Span<const T> values, u64 index) {
    return *reinterpret_cast<const Pack<T>*>(values.pack(index, Pack<T>::N));
}

template <class T>
__device__ void store(const Pack<T>& pack, Span<T> values, u64 index) {
    *reinterpret_cast<Pack<T>*>(values.pack(index, Pack<T>::N)) = pack;
}

inline __device__ float infinity() { return __uint_as_float(0x7f800000u); }

// The sum over the lanes of a warp, the same bits in each of them.
inline __device__ float warp_sum(float value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    }
    return value;
}

// The sum over the threads of a block of at most 1024, the same bits in each of them.
inline __device__ float block_sum(float value) {
    __shared__ float sums[WARP];
    const int warps = (blockDim.x + WARP - 1) / WARP;
    value = warp_sum(value);
    // Nobody writes before all have read what an earlier sum left here.
    __syncthreads();
    if (threadIdx.x % WARP == 0) sums[threadIdx.x / WARP] = value;
    __syncthreads();
    float total = 0.0f;
    for (int warp = 0; warp < warps; ++warp) total += sums[warp];
    return total;
}
