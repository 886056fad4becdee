/// A vector of `len` values whose contents are unspecified, for a kernel to write completely.
///
/// `vec![0.0; len]` costs a pass over the memory, as much as the cheaper kernels themselves. The
/// contents may be those of freed memory of this process: don't hand them out unwritten.
#[must_use]
pub fn buffer(len: usize) -> Vec<f32> {
    #[cfg(all(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        target_pointer_width = "64",
        not(miri)
    ))]
    {
        let mut values = Vec::<f32>::with_capacity(len);
        let start = values.as_mut_ptr();
        // SAFETY: to the compiler the assembly writes arbitrary values to the `len` elements that
        // `start` addresses: it has the pointer and may write memory (no `nomem`, no `readonly`).
        // Any bits are a valid f32. The code after it holds whatever those values are, so leaving
        // the bytes as they lie is one of the behaviours allowed. `len` is within the capacity.
        unsafe {
            std::arch::asm!("/* {0} */", in(reg) start, options(nostack, preserves_flags));
            values.set_len(len);
        }
        values
    }
    #[cfg(not(all(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        target_pointer_width = "64",
        not(miri)
    )))]
    {
        vec![0.0; len]
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn has_its_length_and_keeps_what_is_written() {
        assert!(super::buffer(0).is_empty());
        let mut values = super::buffer(1000);
        values.fill(3.0);
        assert_eq!(values, vec![3.0; 1000]);
    }
}
