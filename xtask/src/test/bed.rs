//! What tests run against, each made when the first part asks for it, and gone with the bed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::browser;
use crate::local_model::{self, LocalModel};
use crate::loopback;
use crate::postgres::Cluster;
use crate::python;
use crate::site;
use crate::workspace::{Profile, Workspace};

/// An environment variable for the tests.
pub type Setting = (&'static str, OsString);

pub struct Bed<'a> {
    pub workspace: &'a Workspace,
    cluster: Option<Cluster>,
    model: Option<LocalModel>,
    built: Option<TempDir>,
    spec: Option<PathBuf>,
}

impl<'a> Bed<'a> {
    pub fn new(workspace: &'a Workspace) -> Self {
        Self {
            workspace,
            cluster: None,
            model: None,
            built: None,
            spec: None,
        }
    }

    /// Compares replies with an OpenAPI document as well.
    pub fn with_spec(mut self, file: Option<&Path>) -> Result<Self> {
        self.spec = match file {
            Some(file) => Some(file.canonicalize().with_context(|| file.display().to_string())?),
            None => None,
        };
        Ok(self)
    }

    /// The variable is empty without a document.
    pub fn spec(&self) -> Setting {
        if self.spec.is_none() {
            eprintln!("No --spec: replies are compared with the server's own description only.");
        }
        ("TOLLWAY_OPENAPI_SPEC", self.spec.clone().unwrap_or_default().into())
    }

    /// A cluster on which every test makes databases of its own.
    pub fn postgres(&mut self) -> Result<Setting> {
        Ok(("TOLLWAY_TEST_PG_URL", self.cluster()?.url.clone().into()))
    }

    pub fn cluster(&mut self) -> Result<&Cluster> {
        let cluster = match self.cluster.take() {
            Some(cluster) => cluster,
            None => Cluster::start(self.workspace).context("starting a PostgreSQL cluster")?,
        };
        Ok(self.cluster.insert(cluster))
    }

    pub fn model(&mut self) -> Result<Setting> {
        let model = match self.model.take() {
            Some(model) => model,
            None => self.start_model().context("starting the local model")?,
        };
        Ok(("TOLLWAY_TEST_MODEL_URL", self.model.insert(model).url().into()))
    }

    pub fn python(&self) -> Result<Setting> {
        Ok((
            "TOLLWAY_TEST_PYTHON",
            python::ensure_environment(self.workspace)?.into(),
        ))
    }

    /// Where the npm packages lie.
    pub fn npm(&self) -> Result<Setting> {
        browser::ensure_npm_packages(self.workspace)?;
        Ok(("TOLLWAY_TEST_END2END", self.workspace.end2end().into()))
    }

    pub fn chromium(&self) -> Result<Setting> {
        Ok(("CHROMIUM_PATH", browser::ensure_chromium(self.workspace)?.into()))
    }

    /// The server and what it serves, built as for development; copies, so that one can go on developing meanwhile.
    pub fn site(&mut self) -> Result<Vec<Setting>> {
        site::build(self.workspace, Profile::Dev)?;
        let folder = tempfile::Builder::new()
            .prefix("e2e-")
            .tempdir_in(&self.workspace.target)?;
        site::copy_built(self.workspace, Profile::Dev, folder.path())?;
        site::build_fake_stripe(self.workspace)?;
        let stand_in = self.workspace.binary(Profile::Dev, "fake-stripe");
        std::fs::hard_link(stand_in, folder.path().join("fake-stripe")).context("linking the stand-in of Stripe")?;
        let folder = self.built.insert(folder).path();
        Ok(vec![
            ("TOLLWAY_BIN", folder.join("tollway").into()),
            ("TOLLWAY_SITE_ROOT", folder.join("site").into()),
            ("TOLLWAY_FAKE_STRIPE", folder.join("fake-stripe").into()),
        ])
    }

    fn start_model(&self) -> Result<LocalModel> {
        let installed = local_model::install(self.workspace)?;
        local_model::start(self.workspace, &installed, loopback::free_port()?)
    }
}
