// Kernels that do what the emulator must notice.
#include "device.h"

// Only some threads come to the barrier.
__global__ void faulty_barrier(Span<int> out, int stay) {
    if (int(threadIdx.x) >= stay) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

// Only some lanes come to the shuffle.
__global__ void faulty_shuffle(Span<float> out, int stay) {
    if (int(threadIdx.x) >= stay) return;
    out[threadIdx.x] = warp_sum(1.0f);
}

// Some threads come to a barrier, the others to a shuffle.
__global__ void faulty_meeting(Span<float> out) {
    if (threadIdx.x % 2 == 0) __syncthreads();
    out[threadIdx.x] = warp_sum(1.0f);
}

// What a thread writes depends on whether another came before it.
__global__ void faulty_order(Span<int> out) { out[0] = int(threadIdx.x); }

KERNEL(faulty_barrier)
KERNEL(faulty_shuffle)
KERNEL(faulty_meeting)
KERNEL(faulty_order)
