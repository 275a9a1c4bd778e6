package imagestore

import (
	"context"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// recordStore is the names of images and what they stand for, in containerd. Its
// client library has the same, together with all the rest of the client.
type recordStore struct{ api imagesapi.ImagesClient }

func newRecords(conn grpc.ClientConnInterface) images.Store {
	return recordStore{imagesapi.NewImagesClient(conn)}
}

func (r recordStore) Get(ctx context.Context, name string) (images.Image, error) {
	answer, err := r.api.Get(ctx, &imagesapi.GetImageRequest{Name: name})
	if err != nil {
		return images.Image{}, errgrpc.ToNative(err)
	}
	return fromWire(answer.GetImage()), nil
}

func (r recordStore) List(ctx context.Context, filters ...string) ([]images.Image, error) {
	answer, err := r.api.List(ctx, &imagesapi.ListImagesRequest{Filters: filters})
	if err != nil {
		return nil, errgrpc.ToNative(err)
	}
	var list []images.Image
	for _, i := range answer.GetImages() {
		list = append(list, fromWire(i))
	}
	return list, nil
}

func (r recordStore) Create(ctx context.Context, image images.Image) (images.Image, error) {
	answer, err := r.api.Create(ctx, &imagesapi.CreateImageRequest{Image: toWire(image)})
	if err != nil {
		return images.Image{}, errgrpc.ToNative(err)
	}
	return fromWire(answer.GetImage()), nil
}

func (r recordStore) Update(ctx context.Context, image images.Image, _ ...string) (images.Image, error) {
	answer, err := r.api.Update(ctx, &imagesapi.UpdateImageRequest{Image: toWire(image)})
	if err != nil {
		return images.Image{}, errgrpc.ToNative(err)
	}
	return fromWire(answer.GetImage()), nil
}

func (r recordStore) Delete(ctx context.Context, name string, opts ...images.DeleteOpt) error {
	var o images.DeleteOptions
	for _, opt := range opts {
		if err := opt(ctx, &o); err != nil {
			return err
		}
	}
	_, err := r.api.Delete(ctx, &imagesapi.DeleteImageRequest{Name: name, Sync: o.Synchronous})
	return errgrpc.ToNative(err)
}

func toWire(i images.Image) *imagesapi.Image {
	return &imagesapi.Image{
		Name: i.Name, Labels: i.Labels,
		Target: &types.Descriptor{
			MediaType: i.Target.MediaType, Digest: i.Target.Digest.String(), Size: i.Target.Size, Annotations: i.Target.Annotations,
		},
		CreatedAt: stamp(i.CreatedAt), UpdatedAt: stamp(i.UpdatedAt),
	}
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromWire(i *imagesapi.Image) images.Image {
	t := i.GetTarget()
	return images.Image{
		Name: i.GetName(), Labels: i.GetLabels(),
		Target: ocispec.Descriptor{
			MediaType: t.GetMediaType(), Digest: digest.Digest(t.GetDigest()), Size: t.GetSize(), Annotations: t.GetAnnotations(),
		},
		CreatedAt: i.GetCreatedAt().AsTime(), UpdatedAt: i.GetUpdatedAt().AsTime(),
	}
}
