# docker build --tag tallyclip .
# docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" tallyclip curate pool.parquet --out run
FROM python:3.11-slim-bookworm
WORKDIR /tallyclip
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt '.[crawl,hf,http,metadata,s3]'
# Whoever runs it may write there: Numba's compiled functions, and the settings of matplotlib.
ENV NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
ENTRYPOINT ["tallyclip"]
