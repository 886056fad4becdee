//! Tar archives: the checksums of headers.

const BLOCK: usize = 512;

/// Gives every block that looks like a header its checksum.
pub fn tar(_: &[u8], mut changed: Vec<u8>) -> Vec<u8> {
    for block in changed.chunks_exact_mut(BLOCK) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    changed
}
