"""A schema registry: Apicurio, whose schemas are records of a topic, by the API of Confluent's registry."""

import json
import os
import pathlib
import re
import subprocess
import tarfile
import urllib.request

from harness.clients import BUILD, HERE
from harness.install import MAVEN_COPY, Stamp, run
from harness.server import free_port
from harness.stage import PATIENCE_S

JAVA_MIN = 21


def install_registry():
    pom = HERE / "registry" / "pom.xml"
    with Stamp("registry", pom) as needed:
        if needed:
            run("mvn", "-q", "-B", "-Dstyle.color=never", "-f", pom, MAVEN_COPY, f"-DoutputDirectory={BUILD / 'registry'}")
            [archive] = (BUILD / "registry").glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(BUILD / "registry", filter="data")


def newer_java():
    """A java of JAVA_MIN or later: that of JAVA_HOME, the first of the path, or one beside it where Linux distributions keep them."""
    candidates = [pathlib.Path(os.environ.get("JAVA_HOME", "/nowhere")) / "bin" / "java", pathlib.Path("java"), *pathlib.Path("/usr/lib/jvm").glob("*/bin/java")]
    for java in candidates:
        try:
            told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
        except OSError:
            continue
        if (version := re.search(r'version "(\d+)', told)) and int(version[1]) >= JAVA_MIN:
            return java
    raise RuntimeError(f"the registry needs Java {JAVA_MIN} or later; install one, or name it by JAVA_HOME")


def registry(stage):
    java = newer_java()
    ports = {name: free_port() for name in ("one", "two")}
    processes, schemas = {}, {}

    def begin(name):
        processes[name] = stage.start(name, java, "-XX:TieredStopAtLevel=1", "-Xmx384m", "-jar", BUILD / "registry" / "quarkus-run.jar", environment={
            "QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(ports[name]), "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": str(free_port()), "APICURIO_STORAGE_KIND": "kafkasql",
            "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": stage.bootstrap, "APICURIO_KAFKASQL_TOPIC": f"{stage.prefix}-journal",
            "APICURIO_KAFKASQL_SNAPSHOTS_TOPIC": f"{stage.prefix}-snapshots", "APICURIO_EVENTS_KAFKA_TOPIC": f"{stage.prefix}-events",
            "APICURIO_KAFKASQL_CONSUMER_POLL_TIMEOUT": "500", "APICURIO_STORAGE_SNAPSHOT_LOCATION": str(stage.work),
            "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "2", "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "2"})

    def ask(name, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{ports[name]}/apis/ccompat/v7{path}", data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/vnd.schemaregistry.v1+json"}, method="GET" if body is None else "POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def register(step, name, first, count):
        def one(i):
            schema = json.dumps({"type": "record", "name": f"Order{i}", "fields": [{"name": f"field{i}", "type": "string"}]})
            schemas[ask(name, f"/subjects/orders-{i}-value/versions", {"schema": schema})["id"]] = schema
            return True

        stage.check(step, None if all(stage.eventually(lambda i=i: one(i)) for i in range(first, first + count)) else "not all")

    def reads(step, name):
        def same():
            return schemas and all(json.loads(ask(name, f"/schemas/ids/{number}")["schema"]) == json.loads(schema) for number, schema in schemas.items())

        stage.check(step, None if stage.eventually(same, 2 * PATIENCE_S) else f"not all of {len(schemas)} schemas")

    for name in ports:  # one after the other: two that make the topics at once do not survive it
        begin(name)
        if not stage.eventually(lambda name=name: ask(name, "/subjects") == [], 2 * PATIENCE_S):
            raise RuntimeError(f"registry {name} did not start")
    register("registered", "one", 0, 20)
    reads("read from the other", "two")
    processes["one"].kill()
    stage.restart(kill=True)
    register("registered by the other, one and the server killed", "two", 20, 20)
    begin("one")
    reads("read from a new one", "one")
    stage.check("each has a number of its own", None if len(schemas) == 40 else f"{len(schemas)} of 40")
    stage.restart(kill=False)
    register("registered after SIGTERM of the server", "one", 40, 5)
    reads("read from the other again", "two")
