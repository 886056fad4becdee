//! fcmae-kernels
