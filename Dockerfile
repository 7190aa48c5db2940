# Two stages: the first has what installing takes, the second what running takes.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/comention \
    && /opt/comention/bin/pip install --no-cache-dir --constraint constraints.txt uv
COPY . .
RUN /opt/comention/bin/uv pip install --no-cache --python /opt/comention/bin/python \
    --constraint constraints.txt --build-constraint constraints.txt --torch-backend=cpu .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 comention
COPY --from=build /opt/comention /opt/comention
USER comention
ENV PATH=/opt/comention/bin:$PATH
ENTRYPOINT ["comention"]
CMD ["--help"]
