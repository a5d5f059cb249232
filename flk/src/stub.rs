//! Temporary: until the settings room is there.
#![allow(clippy::unwrap_used)]
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use flk_contract::{Form, Key, Keyring, Signing, Tenant, keys::Window};
use flk_ingest::{Limits, MetricsAuth};
use flk_service::lifecycle::Deadlines;
#[derive(Debug, clap::Args)]
pub struct Raw { #[arg(long, default_value="127.0.0.1:8080")] listen: SocketAddr, #[arg(long)] data_dir: PathBuf }
pub struct Settings { pub listen: SocketAddr, pub data_dir: PathBuf, pub signing: Signing, pub keys: Arc<Keyring>, pub queue: usize, pub retention: Duration, pub limits: Limits, pub metrics_auth: MetricsAuth, pub deadlines: Deadlines, pub logging: flk_service::telemetry::Logging }
impl Settings { pub fn load(raw: Raw) -> Result<Self, String> {
  let get = |n: &str| std::env::var(n).ok();
  let alg = get("PCS_SIGN_ALG").unwrap_or("hmac".into());
  let mut keys = vec![];
  for n in ["PCS_HMAC_KEY","PCS_HMAC_KEY_OLD","PCS_HMAC_KEY_NEW"] { if let Some(k)=get(n) { keys.push(Key::hmac(None, Tenant::default_tenant(), k.as_bytes(), Window::default()).map_err(|e| e.to_string())?); } }
  if let Some(k)=get("PCS_ED25519_PUB_B64") { keys.push(Key::ed25519(None, Tenant::default_tenant(), &k, Window::default()).map_err(|e| e.to_string())?); }
  let scope = if get("PCS_SIGN_SCOPE").as_deref()==Some("content") { Form::Content } else { Form::Payload };
  let signing = if alg=="none" { Signing::Off } else { Signing::Required { hmac: alg.contains("hmac"), ed25519: alg.contains("ed25519"), scope } };
  let token_rate = get("TOKEN_RATE").and_then(|r| r.parse().ok()).unwrap_or(1000);
  Ok(Self { listen: raw.listen, data_dir: raw.data_dir, signing, keys: Arc::new(Keyring::new(keys).map_err(|e| e.to_string())?), queue: 4096, retention: Duration::from_secs(16*86400), limits: Limits { token_rate, ..Limits::default() }, metrics_auth: MetricsAuth::open(), deadlines: Deadlines::default(), logging: flk_service::telemetry::Logging { format: flk_service::telemetry::Format::Auto, filter: std::env::var("LOG_LEVEL").unwrap_or("info".into()).parse().unwrap() } })
}}
