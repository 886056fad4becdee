//! fcmae-store
