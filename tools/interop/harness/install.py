"""Puts every client's pinned packages and programs under target/interop, by the registries' ordinary tools.

Each step is repeated only when one of its inputs changed. Needs: python3 with venv, go, cargo, a C compiler and make (for librdkafka), a
JDK of 17 or later, mvn, node, npm; kcat is installed with apt-get when it is missing.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

from harness.clients import BUILD, HERE

MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def install(names):
    """What the named clients need. Steps run side by side: some download while others compile."""
    BUILD.mkdir(parents=True, exist_ok=True)
    steps = [install_python]  # for the harness's own admin client, too
    if "kcat" in names and not shutil.which("kcat"):
        steps.append(install_kcat)
    if {"franz-go", "sarama", "kafka-go"} & names:
        steps.append(install_go)
    if {"rskafka", "rdkafka"} & names:
        steps.append(install_rust)
    if "java" in names:
        steps += [install_java, install_tools]
    if "kafkajs" in names:
        steps.append(install_node)
    with concurrent.futures.ThreadPoolExecutor(len(steps)) as pool:
        for done in [pool.submit(timed, step) for step in steps]:
            done.result()


def timed(step):
    started = time.monotonic()
    step()
    print(f"{step.__name__}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def install_go():
    run("go", "build", "-o", f"{BUILD / 'go'}/", "./franz", "./sarama", "./kafkago", cwd=HERE / "go")


def install_rust(crate="rust"):
    run("cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", HERE / crate / "Cargo.toml", "--target-dir", BUILD / "rust")


def install_kcat():
    install_debian("kcat")


def install_debian(package):
    apt = ["apt-get"] if os.geteuid() == 0 else ["sudo", "apt-get"]
    run(*apt, "update", "-qq")
    run(*apt, "install", "-y", "-qq", package)


def install_python(name="python"):
    """An environment of its own, with what requirements.txt of the folder of that name lists."""
    requirements = HERE / name / "requirements.txt"
    with Stamp(name, requirements) as needed:
        if needed:
            run(sys.executable, "-m", "venv", BUILD / name)
            run(BUILD / name / "bin" / "pip", "install", "-q", "-r", requirements)


def install_java():
    install_jvm("java")


def install_tools():
    install_jvm("tools")


def install_jvm(name, build=None, properties=()):
    """The jars of a pom, and the classes of what Java is beside it. With other `properties` than the pom's it is another `build`."""
    pom, sources, build = HERE / name / "pom.xml", sorted((HERE / name).glob("*.java")), build or name
    with Stamp(build, pom, *sources) as needed:
        if needed:
            shutil.rmtree(BUILD / build / "lib", ignore_errors=True)  # what another pom wanted
            run("mvn", "-q", "-B", "-Dstyle.color=never", *(f"-D{item}" for item in properties), "-f", pom, MAVEN_COPY,
                f"-DoutputDirectory={BUILD / build / 'lib'}", "-DincludeScope=runtime")
            if sources:
                run("javac", "-Xlint:all,-classfile,-path", "-Werror", "-cp", f"{BUILD / build}/lib/*", "-d", BUILD / build / "classes", *sources)


def install_node():
    package, lock = HERE / "node" / "package.json", HERE / "node" / "package-lock.json"
    with Stamp("node", package, lock) as needed:
        if needed:
            for file in (package, lock):
                shutil.copy(file, BUILD / "node")
            run("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=BUILD / "node")


def run(*command, cwd=None):
    subprocess.run(list(map(str, command)), cwd=cwd, check=True, stdout=sys.stderr)


class Stamp:
    """Tells whether a step is needed, and remembers that it succeeded: a file that holds a digest of the step's inputs."""

    def __init__(self, name: str, *inputs: pathlib.Path):
        digest = hashlib.sha256()
        for path in inputs:
            digest.update(path.read_bytes())
        self.digest = digest.hexdigest()
        self.file = BUILD / name / "stamp"

    def __enter__(self) -> bool:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return not (self.file.exists() and self.file.read_text() == self.digest)

    def __exit__(self, error, *_):
        if error is None:
            self.file.write_text(self.digest)
