use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tonic::transport::ServerTlsConfig;
use zeroize::Zeroizing;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has no `-----BEGIN {label}` line: it is no PEM file of that kind", path.display())]
    NotPem { path: PathBuf, label: &'static str },
    #[error(
        "{what} would listen on {address}, which other machines reach, without TLS: set {cert} and {key}, or listen \
         on 127.0.0.1"
    )]
    Plaintext { what: &'static str, address: SocketAddr, cert: &'static str, key: &'static str },
}

/// What a server shows, and how it proves it.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) config: ServerTlsConfig,
}

impl Identity {
    /// Both in PEM; the certificate with its chain.
    ///
    /// # Errors
    /// A file cannot be read or is no PEM.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let cert = pem(cert, "CERTIFICATE")?;
        let key = pem(key, "")?;
        let identity = tonic::transport::Identity::from_pem(cert, key);
        Ok(Self { config: ServerTlsConfig::new().identity(identity) })
    }
}

pub(crate) fn pem(path: &Path, label: &'static str) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let text = Zeroizing::new(fs::read(path).map_err(unreadable)?);
    let begin = format!("-----BEGIN {label}");
    if text.windows(begin.len()).any(|part| part == begin.as_bytes()) {
        Ok(text)
    } else {
        Err(TlsError::NotPem { path: path.to_owned(), label })
    }
}

/// Refuses to let secrets leave this machine in the clear.
///
/// # Errors
/// `address` is reached from elsewhere, and there is no TLS. `cert` and `key` name what would have to be set.
pub fn require_tls_or_loopback(
    what: &'static str,
    address: SocketAddr,
    tls: Option<&Identity>,
    (cert, key): (&'static str, &'static str),
) -> Result<(), TlsError> {
    if tls.is_some() || address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(TlsError::Plaintext { what, address, cert, key })
}

#[cfg(test)]
mod tests {
    use super::require_tls_or_loopback;

    #[test]
    fn plaintext_is_refused_beyond_this_machine_with_words() {
        let check = |address: &str| {
            let keys = ("worker_tls_cert_file", "worker_tls_key_file");
            let address = address.parse().unwrap();
            require_tls_or_loopback("the workers' listener", address, None, keys)
        };
        for address in ["127.0.0.1:7402", "127.8.8.8:1", "[::1]:7402", "[::ffff:127.0.0.1]:7402"] {
            assert!(check(address).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:7402", "[::]:7402", "192.0.2.1:7402", "[2001:db8::1]:7402"] {
            let words = check(address).unwrap_err().to_string();
            assert!(words.contains(address) && words.contains("worker_tls_cert_file"), "{words}");
        }
    }
}
