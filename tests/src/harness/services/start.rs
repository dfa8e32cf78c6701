//! How services come up.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use super::{ADMIN_TOKEN, ADMIN_TOKEN_FILE, CONSOLE_LISTEN, Services, Shape, free_address};
use crate::harness::{Sim, segue};

impl Services {
    pub(super) fn start_apart(
        &mut self,
        shape: Shape,
        amqp: &str,
        database: &str,
        environment: &[(&str, &str)],
    ) {
        let services = self;
        let prefix = format!("segue-test-{}", uuid::Uuid::new_v4().simple());
        let staging = services.folder.path().join("staging");
        fs::create_dir(&staging).unwrap();
        for (name, value) in [
            ("SEGUE_DATABASE_URL", database),
            ("SEGUE_AMQP_URL", amqp),
            ("SEGUE_AMQP_PREFIX", &prefix),
            ("SEGUE_STAGING_URL", &format!("file://{}", staging.display())),
        ] {
            services.set(name, value);
        }
        for (name, value) in environment {
            services.set(name, value);
        }
        services.prefix = Some(prefix);
        let migrated = services.command(&["migrate"]).output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let mut behind = Vec::new();
        for nth in 1..=shape.control_planes {
            let listen = if nth == 1 { services.control_plane } else { free_address() };
            let workers = free_address();
            let arguments = [
                "control-plane",
                "--listen",
                &listen.to_string(),
                "--worker-listen",
                &workers.to_string(),
            ];
            services.start(&format!("control-plane-{nth}"), &arguments);
            behind.push(format!("http://{workers}"));
        }
        if !behind.is_empty() {
            services.set("SEGUE_CONTROL_PLANE_URL", &behind.join(","));
        }
        for nth in 1..=shape.workers {
            behind.rotate_left(1);
            let control_planes = behind.join(",");
            let arguments = ["worker", "--control-plane-url", &control_planes];
            services.start(&format!("worker-{nth}"), &arguments);
        }
        for nth in 1..=shape.statuses {
            let listen = if nth == 1 { services.status } else { free_address() };
            services.start(
                &format!("status-{nth}"),
                &["status", "--status-listen", &listen.to_string()],
            );
        }
        services.await_ready();
    }

    pub(super) fn prepare(sim: &Sim) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("source")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut services = Self {
            environment: BTreeMap::new(),
            running: BTreeMap::new(),
            binary: segue(),
            binaries: BTreeMap::new(),
            control_plane: free_address(),
            status: free_address(),
            prefix: None,
            database: None,
            folder,
            runtime,
        };
        let secret = |name: &str| {
            let path = services.folder.path().join(name);
            let (one, other) = (uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            fs::write(&path, format!("{one}{other}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path.display().to_string()
        };
        let (master, token) = (secret("master-key"), secret("worker-token"));
        let admin = secret(ADMIN_TOKEN);
        for (name, value) in [
            ("SEGUE_MASTER_KEY_FILE", &*master),
            ("SEGUE_WORKER_TOKEN_FILE", &token),
            (ADMIN_TOKEN_FILE, &admin),
            (CONSOLE_LISTEN, "off"),
            ("SEGUE_SOURCE_DIR", &services.source().display().to_string()),
            ("SEGUE_SCRATCH_DIR", &services.folder.path().display().to_string()),
            ("SEGUE_KLAVIYO_URL", &sim.url()),
            ("SEGUE_DRAIN_TIMEOUT", "20s"),
        ] {
            services.set(name, value);
        }
        services
    }
}
