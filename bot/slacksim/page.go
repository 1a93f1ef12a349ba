package slacksim

import "net/http"

func (w *Workspace) addPage(*http.ServeMux) {}
