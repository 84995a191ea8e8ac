# The demo in a container: docker build --tag digits . && docker run --publish 7860:7860 digits
FROM python:3.13-slim

# From pip's own index torch comes with its CUDA libraries, some gigabytes; https://pytorch.org/get-started/locally names an
# index of CPU builds, a tenth of that: docker build --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL

RUN useradd --create-home digits
WORKDIR /home/digits/app

COPY requirements.txt .
COPY requirements requirements
RUN pip install --no-cache-dir --requirement requirements.txt

COPY pipeline pipeline
COPY demo demo
COPY checkpoints/sketchpad checkpoints/sketchpad

USER digits
ENV PORT=7860 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD \
    python -c "from http.client import HTTPConnection as To; to = To('127.0.0.1', $PORT, timeout=4); \
               to.request('GET', '/healthz'); raise SystemExit(to.getresponse().status != 200)"
CMD ["python", "-m", "demo", "--host", "0.0.0.0"]
