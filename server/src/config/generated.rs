//! Values generated once and kept in the data directory, readable by their owner only.

use super::{ConfigError, Secret, WEBHOOK_SECRET_BYTES_MIN, random_hex};
use domain::id::NodeId;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Creates the data directory, closed to other users.
pub(super) fn create_dir(path: &Path) -> Result<(), ConfigError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|cause| data_dir(path, cause))
}

/// The secret that signs development webhooks.
pub(super) fn webhook_secret(dir: &Path) -> Result<Secret, ConfigError> {
    let path = dir.join("webhook_secret");
    let secret = kept(&path)?;
    match secret.len() < WEBHOOK_SECRET_BYTES_MIN {
        true => Err(ConfigError::Generated { path }),
        false => Ok(Secret::new(secret)),
    }
}

/// The name of this node, to which the journal in `dir` belongs.
pub(super) fn node_id(dir: &Path) -> Result<NodeId, ConfigError> {
    let path = dir.join("node_id");
    let text = kept(&path)?;
    let name = text.strip_prefix("node_").unwrap_or(&text);
    match name.len() >= 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(NodeId::stored(format!("node_{}", name.get(..32).unwrap_or(name)))),
        false => Err(ConfigError::Generated { path }),
    }
}

/// What the file holds; created with random hex when it does not exist.
fn kept(path: &Path) -> Result<String, ConfigError> {
    match create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(data_dir(path, cause)),
    }
    let text = std::fs::read_to_string(path).map_err(|cause| data_dir(path, cause))?;
    Ok(text.trim().to_owned())
}

fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let text = random_hex().map_err(io::Error::other)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

fn data_dir(path: &Path, cause: io::Error) -> ConfigError {
    ConfigError::DataDir {
        path: path.to_owned(),
        cause,
    }
}
