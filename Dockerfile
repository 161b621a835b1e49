# One image for every process of docker-compose.yml; the command says which one it is.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    STATIC_ROOT=/app/staticfiles
# Volumes take over the owner of the folder they are mounted on: the signer's socket, and its keys.
RUN useradd --create-home --uid 10001 soldesk \
    && install --directory --owner soldesk --mode 0700 /run/soldesk /var/lib/soldesk
WORKDIR /app

COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock

COPY . .
# The settings want URLs even where nothing connects to them.
RUN DATABASE_URL=postgresql://none/none REDIS_URL=redis://none/0 python manage.py collectstatic --noinput

USER soldesk
EXPOSE 8000
CMD ["python", "-m", "config.web"]
