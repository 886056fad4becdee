//! fcmae-data
