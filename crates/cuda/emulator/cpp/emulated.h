// What the kernels' sources find instead of CUDA's own language when they are compiled as C++.
//
// A block's threads are fibers of one thread of the system, so that they meet at barriers and in shuffles.
// Every access goes through a Span, which knows its length.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

typedef std::uint32_t u32;
typedef std::uint16_t u16;
typedef std::uint64_t u64;

#define __global__
#define __device__
// One for all threads of a block; blocks of one launch follow each other.
#define __shared__ static thread_local

namespace emulated {

struct Index {
    unsigned x, y, z;
};

// Where the calling thread of the card is.
struct Place {
    Index thread, block, block_size, grid_size;
};

const Place& here();
// Waits for all threads of the block.
void meet();
// Gives `value` to the other lanes of the warp and takes that of the lane `distance` away.
u32 exchange(u32 mask, u32 value, int distance);

[[noreturn]] void fail(const std::string& what);

// What a kernel asks of an argument.
struct Parameter {
    std::size_t size;
    // Of the values that a span is of; 1 for numbers.
    std::size_t value, alignment;
    bool is_span, is_written;
};

template <class A>
struct ParameterOf {
    static constexpr Parameter value{sizeof(A), 1, 1, false, false};
};

// A kernel that can be launched by its name.
struct Entry {
    const char* name;
    void (*kernel)();
    void (*invoke)(void (*kernel)(), void* const* arguments);
    const Parameter* parameters;
    std::size_t count;
    Entry* next;

    template <class... A>
    Entry(const char* name, void (*kernel)(A...)) : Entry(name, reinterpret_cast<void (*)()>(kernel)) {
        static const Parameter list[] = {ParameterOf<A>::value...};
        parameters = list;
        count = sizeof...(A);
        invoke = [](void (*kernel)(), void* const* arguments) {
            call(reinterpret_cast<void (*)(A...)>(kernel), arguments, std::index_sequence_for<A...>());
        };
    }

private:
    Entry(const char* name, void (*kernel)());

    template <class... A, std::size_t... I>
    static void call(void (*kernel)(A...), void* const* arguments, std::index_sequence<I...>) {
        kernel(*static_cast<const std::remove_reference_t<A>*>(arguments[I])...);
    }
};

}  // namespace emulated

template <class T>
struct Span {
    T* start;
    u64 bytes;

    T& operator[](u64 index) const {
        if (index >= bytes / sizeof(T)) {
            emulated::fail("index " + std::to_string(index) + " of " + std::to_string(bytes / sizeof(T)));
        }
        return start[index];
    }
    T* pack(u64 index, int count) const {
        if (index + count > bytes / sizeof(T)) {
            emulated::fail("values " + std::to_string(index) + " to " + std::to_string(index + count - 1) + " of " +
                           std::to_string(bytes / sizeof(T)));
        }
        if (reinterpret_cast<std::uintptr_t>(start + index) % 16 != 0) {
            emulated::fail("value " + std::to_string(index) + " is at no multiple of 16 bytes");
        }
        return start + index;
    }
    bool is_empty() const { return start == nullptr; }
};

namespace emulated {

template <class T>
struct ParameterOf<Span<T>> {
    static constexpr Parameter value{sizeof(Span<T>), sizeof(T), alignof(T), true, !std::is_const<T>::value};
};

}  // namespace emulated

#define KERNEL_NAMED(number, ...) static emulated::Entry entry_##number(#__VA_ARGS__, &__VA_ARGS__);
#define KERNEL_COUNTED(number, ...) KERNEL_NAMED(number, __VA_ARGS__)
#define KERNEL(...) KERNEL_COUNTED(__COUNTER__, __VA_ARGS__)

#define threadIdx (::emulated::here().thread)
#define blockIdx (::emulated::here().block)
#define blockDim (::emulated::here().block_size)
#define gridDim (::emulated::here().grid_size)

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a < b ? b : a; }

inline u32 __float_as_uint(float value) {
    u32 bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// Rounded, and never fused with what comes next.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }

inline float __uint_as_float(u32 bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline float __shfl_xor_sync(u32 mask, float value, int distance) {
    return __uint_as_float(emulated::exchange(mask, __float_as_uint(value), distance));
}

inline void __syncthreads() { emulated::meet(); }
