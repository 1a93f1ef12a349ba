# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
ARG VERSION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# timetzdata: the zone database inside the binary, since the image has none.
RUN CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags "-s -w -X main.version=${VERSION}" -o /twokey ./cmd/twokey

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /twokey /twokey
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/twokey"]
CMD ["serve"]
