//! TLS to servers: one provider of cryptography, whatever other crates are built with, and what PEM
//! has to be.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::BadSetting;

/// Makes ring the process's provider, if there is none yet: with two of them in a build, rustls
/// does not choose, and panics at the first connection.
fn choose_provider() {
    // An error says that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What a client trusts, the authority in `ca` or else those in `public`, and the certificate and key
/// that it shows; `server` is the name in errors.
///
/// # Errors
/// [`BadSetting`] for what is no PEM, and for a certificate and a key that are not each other's.
pub(crate) fn config(
    server: &str,
    mut public: RootCertStore,
    ca: Option<&[u8]>,
    client: Option<&(Vec<u8>, String)>,
) -> Result<ClientConfig, BadSetting> {
    choose_provider();
    if let Some(pem) = ca {
        public = RootCertStore::empty();
        for certificate in certificates(&format!("the authority of {server}"), pem)? {
            let bad = |why| BadSetting(format!("the authority of {server} can not be trusted: {why}"));
            public.add(certificate).map_err(bad)?;
        }
    }
    let config = ClientConfig::builder().with_root_certificates(public);
    let Some((certificate, key)) = client else { return Ok(config.with_no_client_auth()) };
    let certificate = certificates(&format!("the client certificate for {server}"), certificate)?;
    // An error does not repeat any of the key.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
        BadSetting(format!(
            "the key of the client certificate for {server} has to be a private key in PEM without a pass phrase \
             (PKCS #8, RSA or SEC1)"
        ))
    })?;
    config
        .with_client_auth_cert(certificate, key)
        .map_err(|why| BadSetting(format!("the client certificate for {server} and its key do not serve: {why}")))
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadSetting> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(BadSetting(format!("{what} has to be a certificate in PEM, and there is none in it"))),
        Err(why) => Err(BadSetting(format!("{what} has to be a certificate in PEM, and is not: {why}"))),
    }
}
