package awssim

// secrets adds Parameter Store and Secrets Manager, as far as values are read.
func (s *Sim) secrets() {
	s.json["ssm.GetParameter"] = on(func(in struct{ Name string }) (any, *Fault) {
		v, ok := s.values["ssm:"+in.Name]
		if !ok {
			return nil, &Fault{Code: "ParameterNotFound"}
		}
		return map[string]any{"Parameter": map[string]any{"Name": in.Name, "Type": "SecureString", "Value": v, "Version": 1}}, nil
	})
	s.json["secretsmanager.GetSecretValue"] = on(func(in struct {
		SecretID string `json:"SecretId"`
	}) (any, *Fault) {
		v, ok := s.values["secret:"+in.SecretID]
		if !ok {
			return nil, &Fault{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret."}
		}
		return map[string]any{"Name": in.SecretID, "SecretString": v, "VersionId": "v1"}, nil
	})
}

// SetValue keeps a value in Parameter Store ("ssm:/name") or Secrets Manager ("secret:name").
func (s *Sim) SetValue(ref, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[ref] = value
}
