//! How many channels a picture may have.

/// Most channels of a picture.
pub const MAX_CHANNELS: u32 = 64;
