//! A certificate authority for tests: of the servers, of clients, and a second one that nobody trusts.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use crate::{Error, Result};

/// A certificate and its key, each a PEM file; the key is PKCS #8, which Java, OpenSSL and rustls read.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// An authority that signs certificates.
///
/// Every server that is started with TLS has one of its own. [`Authority::new`] makes one that no server trusts.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    cert: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority; its files and those of whom it signs go to `dir`.
    ///
    /// # Errors
    /// Where a key can not be made or a file not be written.
    pub fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::io(|| format!("directory {}", dir.display())))?;
        let name = "flk test authority";
        let failed = |source| Error::Certificate { name: name.to_owned(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(name, false)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = dir.join("ca.pem");
        write(&cert, &params.self_signed(&key).map_err(failed)?.pem())?;
        Ok(Self { dir: dir.to_owned(), cert, issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate: what clients are told to trust.
    pub fn ca(&self) -> &Path {
        &self.cert
    }

    /// A certificate of a server at 127.0.0.1 and localhost.
    ///
    /// # Errors
    /// Where it can not be made or written.
    pub fn server(&self, name: &str) -> Result<Identity> {
        self.sign(name, params(name, true)?, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate of a client; `name` is its common name, which is the user's name where a server maps it.
    ///
    /// # Errors
    /// Where it can not be made or written.
    pub fn client(&self, name: &str) -> Result<Identity> {
        self.sign(name, params(name, false)?, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, name: &str, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Result<Identity> {
        let failed = |source| Error::Certificate { name: name.to_owned(), source };
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let pair = KeyPair::generate().map_err(failed)?;
        let signed = params.signed_by(&pair, &self.issuer).map_err(failed)?;
        let identity =
            Identity { cert: self.dir.join(format!("{name}.pem")), key: self.dir.join(format!("{name}.key")) };
        write(&identity.cert, &signed.pem())?;
        write(&identity.key, &pair.serialize_pem())?;
        Ok(identity)
    }
}

fn params(name: &str, server: bool) -> Result<CertificateParams> {
    let names = if server { vec!["localhost".to_owned()] } else { Vec::new() };
    let mut params =
        CertificateParams::new(names).map_err(|source| Error::Certificate { name: name.to_owned(), source })?;
    if server {
        params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    }
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn write(path: &Path, pem: &str) -> Result<()> {
    fs::write(path, pem).map_err(Error::io(|| format!("file {}", path.display())))
}
