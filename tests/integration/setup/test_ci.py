"""The CI jobs: right by the vendors' schemas, and each script part does what it says on a real site."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from korrigo_backup.setup.ci import System, template
from sandbox import KORRIGO, PROJECT, USER, USER_PASSWORD

CHECK = Path(sys.executable).with_name("check-jsonschema")
SCHEMAS = {
    System.GITLAB: ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
    System.GITHUB: ("--builtin-schema", "vendor.github-workflows"),
}
"""The vendors' published schemas, as the package check-jsonschema (Apache 2.0) carries them: GitLab's of its own
repository (MIT), GitHub's of SchemaStore (Apache 2.0)."""


def checked(system, text, path):
    path.write_text(text)
    return subprocess.run([CHECK, *SCHEMAS[system], path], capture_output=True, text=True, check=False)


def gitlab():
    """The scripts of the jobs, each as GitLab's shell runs it."""
    jobs = yaml.safe_load(template(System.GITLAB))
    return {name: "\n".join(job["script"]) for name, job in jobs.items()}


def github():
    """The steps of the jobs, each step as a file of its own, as GitHub's runner does it."""
    jobs = yaml.safe_load(template(System.GITHUB))["jobs"]
    return {
        name: "\n".join(f"( {step['run']}\n)" for step in job["steps"] if "run" in step) for name, job in jobs.items()
    }


@pytest.fixture
def ci_site(site):
    """A site with the runbook's scripts, whose runner finds the command."""
    shutil.copytree(PROJECT / "scripts", site.home / "scripts")
    return site


def executed(site, script, *, code=0, env=None):
    """Run a script as a runner does: bash, ended by the first command that fails."""
    results = site.home / "results"
    results.mkdir(exist_ok=True)
    path = f"{KORRIGO.parent}:{site.env['PATH']}"
    own = {"PATH": path, "CI_PROJECT_DIR": str(results), "RUNNER_TEMP": str(results), "SITE_DIRECTORY": str(site.home)}
    done = site.run(["bash", "-eo", "pipefail", "-c", script], code=code, env=own | (env or {}), timeout=180)
    return done, results


@pytest.mark.contract("D8")
@pytest.mark.parametrize("system", System)
def test_the_jobs_are_right_by_the_vendors_schema(system, tmp_path):
    assert CHECK.exists(), "pip install -r requirements/dev.txt"
    done = checked(system, template(system), tmp_path / "jobs.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.contract("D8")
@pytest.mark.parametrize(
    ("system", "right", "wrong"),
    [(System.GITLAB, "when: always", "when: sometimes"), (System.GITHUB, "runs-on:", "runs_on:")],
)
def test_the_schema_refuses_a_slip(system, right, wrong, tmp_path):
    assert checked(system, template(system).replace(right, wrong), tmp_path / "jobs.yml").returncode == 1


@pytest.mark.contract("D8")
@pytest.mark.parametrize(("jobs", "name"), [(gitlab, "test:backup"), (github, "test-backup")])
def test_the_job_of_the_backup_makes_and_validates_one(ci_site, jobs, name):
    done, results = executed(ci_site, jobs()[name])
    assert "✅ BACKUP TEST PASSED" in done.out
    listed = json.loads((results / "backups.json").read_text())
    assert listed["schema"].startswith("korrigo-backup/list-")
    assert len(list(ci_site.backups.glob("db_backup_*.sql.gz"))) == 2  # and the name of the newest


@pytest.mark.contract("D8")
@pytest.mark.parametrize(("jobs", "name"), [(gitlab, "test:restore"), (github, "test-restore")])
def test_the_job_of_the_restore_proves_the_newest_backup_on_staging(ci_site, jobs, name):
    access, staging = ci_site.server.access(), f"{ci_site.database}_staging"
    (ci_site.home / "korrigo-backup.toml").write_text(
        f'[staging]\nhost = "{access.host}"\nport = {access.port}\nname = "{staging}"\nuser = "{USER}"\n'
    )
    password = {"KORRIGO_BACKUP_STAGING_PASSWORD": USER_PASSWORD}
    made, before = ci_site.backup(), set(ci_site.databases())
    done, results = executed(ci_site, jobs()[name], env=password)
    assert "✅ RESTORE TEST PASSED" in done.out
    assert json.loads((results / "backup-status.json").read_text())["schema"].startswith("korrigo-backup/status-")
    assert set(ci_site.databases()) - before == {staging}
    made.write_bytes(made.read_bytes()[:-100])
    failed, _ = executed(ci_site, jobs()[name], code=1, env=password)
    assert "❌ Restore validation failed" in failed.out


@pytest.mark.contract("D8")
@pytest.mark.parametrize("system", System)
def test_without_a_staging_server_the_job_names_what_to_set_and_what_to_run_instead(ci_site, system):
    ci_site.korrigo("backup", "full")
    jobs, name = {System.GITLAB: (gitlab, "test:restore"), System.GITHUB: (github, "test-restore")}[system]
    failed, _ = executed(ci_site, jobs()[name], code=1)
    assert "set [staging] host" in failed.err
    instead = re.search(r"^# script: (korrigo-backup .*)$", template(system), re.MULTILINE)
    assert instead
    done, _ = executed(ci_site, instead[1])
    assert "✅ Drill passed: restore_point_" in done.out


@pytest.mark.contract("D8")
@pytest.mark.parametrize(("jobs", "name"), [(gitlab, "test:backup"), (github, "test-backup")])
def test_the_job_of_the_backup_fails_with_the_backup(ci_site, jobs, name):
    done, _ = executed(ci_site, jobs()[name], code=(1, 8), env={"POSTGRES_PASSWORD": "wrong"})
    assert "korrigo-backup explain server.password" in done.err


@pytest.mark.contract("D8")
def test_init_puts_the_jobs_into_the_project_and_replaces_no_other_file(site):
    site.korrigo("init", "--ci", "gitlab", code=(0, 3))
    assert (site.home / ".gitlab" / "korrigo-backup.yml").read_text() == template(System.GITLAB)
    done = site.korrigo("init", "--ci", "github")
    path = site.home / ".github" / "workflows" / "korrigo-backup.yml"
    assert path.read_text() == template(System.GITHUB)
    assert "commit it" in done.out
    assert "is there already" in site.korrigo("init", "--ci", "github").out
    path.write_text("mine")
    assert "is another file" in site.korrigo("init", "--ci", "github", code=4).err
    assert path.read_text() == "mine"
