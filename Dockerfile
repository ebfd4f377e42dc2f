# One image, every process: `up` for everything, or runweb / runcoap / runradius / celery one per container.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ONWARD_DATA_DIR=/data
WORKDIR /srv/onward
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY manage.py ./
COPY portal portal
COPY devices devices
COPY bootstrap bootstrap
COPY frontend frontend
RUN useradd --system --home /data onward && mkdir /data && chown onward /data
USER onward
VOLUME /data
EXPOSE 8000/tcp 8443/tcp 5683/udp 1812/udp
HEALTHCHECK --start-period=30s CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz')"
ENTRYPOINT ["python", "manage.py"]
CMD ["up", "--host", "0.0.0.0"]
