# Tollgate for docker-compose.yml. The database is apart: the embedded one is for a single machine without Docker.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:24-bookworm-slim
# fsync and file reads use libuv threads; with the default of four they wait for each other.
ENV UV_THREADPOOL_SIZE=16
ENV NODE_ENV=production BIND_HOST=0.0.0.0 TOLLGATE_HOME=/var/lib/tollgate
WORKDIR /app
COPY --from=build /app/package.json /app/schema.graphql ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/migrations migrations
COPY --from=build /app/data data
RUN mkdir -p /var/lib/tollgate && chown node:node /var/lib/tollgate
USER node
VOLUME /var/lib/tollgate
EXPOSE 8080 2525 2587
ENTRYPOINT ["node", "dist/src/main.js"]
CMD ["serve"]
