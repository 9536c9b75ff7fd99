# docker build -t ringtier .
# docker run -p 6379:6379 ringtier --requirepass SECRET --maxmemory 1gb
#
# In a container ringtier listens on all addresses. Without a password protected mode then refuses
# everybody who does not come from the container itself, so give --requirepass, or, on a network
# that only you reach, --protected-mode no. The same settings work as RINGTIER_REQUIREPASS etc.

FROM node:24-slim AS build
WORKDIR /ringtier
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json ./
COPY protocol protocol/
COPY cluster cluster/
COPY server server/
# data: an empty folder, copied below to be the user's own.
RUN npm run build && npm prune --omit=dev && mkdir data

FROM node:24-slim
COPY --from=build /ringtier/package.json /ringtier/
COPY --from=build /ringtier/node_modules /ringtier/node_modules/
COPY --from=build /ringtier/dist /ringtier/dist/
COPY --from=build --chown=node:node /ringtier/data /data/
USER node
WORKDIR /data
VOLUME /data
ENV RINGTIER_BIND=0.0.0.0 RINGTIER_PORT=6379
EXPOSE 6379
STOPSIGNAL SIGTERM
# A server that asks for a password is in good health.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["node", "-e", "net.connect(process.env.RINGTIER_PORT, '127.0.0.1').on('data', (reply) => process.exit(/^(\\+PONG|-NOAUTH)/.test(reply) ? 0 : 1)).on('error', () => process.exit(1)).write('PING\\r\\n')"]
ENTRYPOINT ["node", "/ringtier/dist/server/main.js"]
