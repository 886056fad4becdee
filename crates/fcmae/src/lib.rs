//! fcmae-fcmae
