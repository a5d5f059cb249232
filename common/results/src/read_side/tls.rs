//! TLS to servers: one provider of cryptography, whatever other crates are built with.

/// Makes ring the process's provider, if there is none yet: with two of them in a build, rustls
/// does not choose, and panics at the first connection.
pub(crate) fn choose_provider() {
    // An error says that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
