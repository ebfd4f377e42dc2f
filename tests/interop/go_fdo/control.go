package main

import (
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"

	fdo "github.com/fido-device-onboard/go-fdo"
	"github.com/fido-device-onboard/go-fdo/cbor"
	"github.com/fido-device-onboard/go-fdo/protocol"
)

// control adds the pages with which a test feeds the server and reads it.
func (server *peer) control(routes *http.ServeMux) {
	routes.HandleFunc("POST /control/policy", answering(func(r *http.Request, body []byte) (any, error) {
		return map[string]bool{"ok": true}, server.setPolicy(body)
	}))
	routes.HandleFunc("POST /control/vouchers", answering(func(r *http.Request, body []byte) (any, error) {
		voucher, err := parseVoucher(body)
		if err != nil {
			return nil, err
		}
		return voucherFacts(voucher), server.AddVoucher(r.Context(), voucher)
	}))
	routes.HandleFunc("GET /control/vouchers/{guid}", answering(server.showVoucher))
	routes.HandleFunc("POST /control/vouchers/{guid}/to0", answering(func(r *http.Request, _ []byte) (any, error) {
		guid, err := guidOf(r)
		if err != nil {
			return nil, err
		}
		seconds, err := server.register(r.Context(), guid)
		return map[string]uint32{"wait_seconds": seconds}, err
	}))
	routes.HandleFunc("POST /control/vouchers/{guid}/resell", answering(server.resell))
	routes.HandleFunc("GET /control/results/{guid}", answering(func(r *http.Request, _ []byte) (any, error) {
		server.plan.mutex.Lock()
		defer server.plan.mutex.Unlock()
		guid := r.PathValue("guid")
		return map[string]any{"results": server.plan.results[guid], "devmod": server.plan.devmods[guid]}, nil
	}))
	routes.HandleFunc("GET /control/errors", answering(func(*http.Request, []byte) (any, error) {
		server.rules.Lock()
		defer server.rules.Unlock()
		codes := server.errors
		server.errors = nil
		return map[string]any{"codes": codes}, nil
	}))
	routes.HandleFunc("GET /control/redirects/{guid}", answering(func(r *http.Request, _ []byte) (any, error) {
		guid, err := guidOf(r)
		if err != nil {
			return nil, err
		}
		blob, _, err := server.RVBlob(r.Context(), guid)
		if err != nil {
			return nil, err
		}
		urls := []string{}
		for _, address := range blob.Payload.Val.RV {
			urls = append(urls, addressURLs(address)...)
		}
		return map[string]any{"to2_urls": urls}, nil
	}))
}

func (server *peer) showVoucher(r *http.Request, _ []byte) (any, error) {
	guid, err := guidOf(r)
	if err != nil {
		return nil, err
	}
	server.store.mutex.Lock()
	if heir, replaced := server.replaced[guid]; replaced {
		guid = heir
	}
	server.store.mutex.Unlock()
	voucher, err := server.Voucher(r.Context(), guid)
	if err != nil {
		return nil, err
	}
	content, err := formatVoucher(voucher)
	if err != nil {
		return nil, err
	}
	told := voucherFacts(voucher)
	told["pem"] = string(content)
	return told, nil
}

// resell extends a voucher to the key or certificates in the body and gives it away.
func (server *peer) resell(r *http.Request, body []byte) (any, error) {
	guid, err := guidOf(r)
	if err != nil {
		return nil, err
	}
	public, chain, err := parsePublic(body)
	if err != nil {
		return nil, err
	}
	next := any(public)
	if len(chain) > 0 {
		next = chain
	}
	voucher, err := server.owner().Resell(r.Context(), guid, next, nil)
	if err != nil {
		return nil, err
	}
	content, err := formatVoucher(voucher)
	return map[string]string{"pem": string(content)}, err
}

func answering(work func(*http.Request, []byte) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var answer any
		if err == nil {
			answer, err = work(r, body)
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			status := http.StatusBadRequest
			if errors.Is(err, fdo.ErrNotFound) {
				status = http.StatusNotFound
			}
			w.WriteHeader(status)
			answer = explain(err)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func guidOf(r *http.Request) (guid protocol.GUID, _ error) {
	content, err := hex.DecodeString(r.PathValue("guid"))
	if err != nil || len(content) != len(guid) {
		return guid, errors.New("a GUID has 32 hexadecimal digits")
	}
	copy(guid[:], content)
	return guid, nil
}

// parseVoucher takes PEM or bare CBOR.
func parseVoucher(content []byte) (*fdo.Voucher, error) {
	if block, _ := pem.Decode(content); block != nil {
		content = block.Bytes
	}
	voucher := &fdo.Voucher{}
	return voucher, cbor.Unmarshal(content, voucher)
}

func formatVoucher(voucher *fdo.Voucher) ([]byte, error) {
	content, err := cbor.Marshal(voucher)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "OWNERSHIP VOUCHER", Bytes: content}), nil
}

func voucherFacts(voucher *fdo.Voucher) map[string]any {
	header := voucher.Header.Val
	return map[string]any{
		"guid":        hex.EncodeToString(header.GUID[:]),
		"device_info": header.DeviceInfo,
		"entries":     len(voucher.Entries),
		"key_type":    int(header.ManufacturerKey.Type),
		"encoding":    int(header.ManufacturerKey.Encoding),
		"hmac":        voucher.Hmac.Algorithm.String(),
	}
}
