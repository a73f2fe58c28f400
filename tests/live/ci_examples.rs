//! The examples in `examples/ci/`, as their runners carry them out: each step in a shell of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use crate::engine::{Ran, Sandbox, shell};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(name)
}

/// A checkout with a Dockerfile, and the environment of a runner.
struct Runner {
    sandbox: Sandbox,
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Runner {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        let folder = sandbox.home.path().join("checkout");
        std::fs::create_dir(&folder).unwrap();
        // Its label tells the images of this test from all others.
        std::fs::write(
            folder.join("Dockerfile"),
            format!("FROM scratch\nLABEL job={}\nCOPY Dockerfile /\n", sandbox.name),
        )
        .unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_provision")).parent().unwrap().display().to_string();
        let text = |path: &str| sandbox.home.path().join(path).display().to_string();
        let variables = BTreeMap::from([
            ("PATH".to_owned(), format!("{program}:{}", std::env::var("PATH").unwrap())),
            ("PROVISION_HOME".to_owned(), text("home")),
            ("DOCKER_BUILDKIT".to_owned(), "0".to_owned()),
        ]);
        Self { sandbox, folder, variables }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).envs(&self.variables).output().unwrap().into()
    }

    /// A step as GitHub and GitLab run it.
    fn step(&self, script: &str) -> Ran {
        self.run("bash", &["-e", "-o", "pipefail", "-c", script])
    }

    /// Takes up the variables of a file of `NAME=VALUE` lines, as runners do between steps.
    fn take_up(&mut self, file: &str) {
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once('='));
        self.variables.extend(lines.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    /// The example as its runner reads it.
    fn read(name: &str) -> Json {
        let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1])), default=str))";
        // YAML 1.1 reads `on` as a truth value: GitHub does not.
        let script = script.replace("default=str", "default=str, skipkeys=True");
        let ran: Ran = Command::new("python3").args(["-c", &script]).arg(example(name)).output().unwrap().into();
        serde_json::from_str(&ran.ok().out).unwrap()
    }

    #[track_caller]
    fn left_nothing(&self) {
        let left = std::fs::read_dir(self.sandbox.home.path().join("home/deployments")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(!left.iter().any(|name| name.starts_with("ci-")), "{left:?}");
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let name = &self.sandbox.name;
        shell(&format!("docker images -q --filter label=job={name} | sort -u | xargs -r docker rmi -f"));
    }
}

#[test]
fn the_workflow_of_github_actions() {
    let mut runner = Runner::new("ci-github");
    for (variable, file) in [("GITHUB_ENV", "github-env"), ("GITHUB_OUTPUT", "github-output")] {
        runner.variables.insert(variable.to_owned(), runner.folder.join(file).display().to_string());
    }
    let workflow = Runner::read("github.yml");
    for job in ["one-step", "several-steps"] {
        let steps: Vec<&str> =
            workflow["jobs"][job]["steps"].as_array().unwrap().iter().filter_map(|step| step["run"].as_str()).collect();
        assert!(!steps.is_empty());
        for step in steps {
            let ran = runner.step(step).ok();
            runner.take_up("github-env");
            assert!(!step.contains("--format github") || ran.out.starts_with("::add-mask::"), "{}", ran.out);
        }
        runner.left_nothing();
    }
    assert!(runner.folder.join("report.xml").exists());
}

#[test]
fn the_jobs_of_gitlab() {
    let mut runner = Runner::new("ci-gitlab");
    let pipeline = Runner::read("gitlab.yml");
    for job in ["images", "registry", "push", "end"] {
        for line in pipeline[job]["script"].as_array().unwrap() {
            runner.step(line.as_str().unwrap()).ok();
        }
        if let Some(report) = pipeline[job]["artifacts"]["reports"]["dotenv"].as_str() {
            runner.take_up(report);
        }
    }
    assert!(runner.variables["REGISTRY"].starts_with("localhost:"));
    runner.left_nothing();
}

#[test]
fn the_stage_of_jenkins() {
    let runner = Runner::new("ci-jenkins");
    let text = std::fs::read_to_string(example("Jenkinsfile")).unwrap();
    let script = text.split("'''").nth(1).unwrap();
    runner.run("sh", &["-xe", "-c", script]).ok();
    assert!(runner.folder.join("report.xml").exists(), "what `junit` reads");
    runner.left_nothing();
}

#[test]
fn the_makefile() {
    let runner = Runner::new("ci-make");
    std::fs::copy(example("Makefile"), runner.folder.join("Makefile")).unwrap();
    runner.run("make", &["test"]).ok().says("Digest");
    std::fs::write(runner.folder.join("Dockerfile"), "FROM no/such:image\n").unwrap();
    let failed = runner.run("make", &["test"]);
    assert_ne!(failed.code, 0, "a failure inside is one outside");
    runner.left_nothing();
}
